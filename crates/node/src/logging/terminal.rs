use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{
        FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
};

use super::logfmt::quoted;

/// Fields whose value is a hash that people need not read to its end.
const SHORTENED: [&str; 2] = ["hash", "parent"];

/// UTC, to the millisecond.
pub(super) struct Milliseconds;

impl FormatTime for Milliseconds {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let mut text = String::new();
        SystemTime.format_time(&mut Writer::new(&mut text))?;
        // 2026-01-02T03:04:05.678901Z
        writer.write_str(text.get(..23).unwrap_or(&text))?;
        writer.write_char('Z')
    }
}

/// The fields of a line for people: message first, hashes short.
pub(super) struct ForPeople;

impl<'writer> FormatFields<'writer> for ForPeople {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line { writer, result: Ok(()), first: true };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'writer> {
    writer: Writer<'writer>,
    result: fmt::Result,
    first: bool,
}

impl Line<'_> {
    fn add(&mut self, field: &Field, value: &str) {
        if self.result.is_ok() {
            self.result = self.write(field.name(), value);
        }
    }

    fn write(&mut self, name: &str, value: &str) -> fmt::Result {
        if !std::mem::take(&mut self.first) {
            self.writer.write_char(' ')?;
        }
        if name == "message" {
            return self.writer.write_str(value);
        }
        let value = if SHORTENED.contains(&name) { short(value) } else { quoted(value) };
        if self.writer.has_ansi_escapes() {
            write!(self.writer, "\x1b[2m{name}=\x1b[0m{value}")
        } else {
            write!(self.writer, "{name}={value}")
        }
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

/// First and last digits of a 32-byte hash; anything else as it is.
fn short(value: &str) -> String {
    match (value.get(..8), value.get(60..)) {
        (Some(first), Some(last)) if value.len() == 66 && value.starts_with("0x") => {
            format!("{first}…{last}")
        }
        _ => quoted(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_hashes_are_shortened() {
        let hash = format!("0x123456{}abcdef", "0".repeat(52));
        assert_eq!(short(&hash), "0x123456…abcdef");
        assert_eq!(short("0x1234"), "0x1234");
        assert_eq!(short(&"é".repeat(33)), "é".repeat(33));
    }
}
