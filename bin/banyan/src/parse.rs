//! Values of flags, in the forms that reth takes.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use banyan_node::{ColorChoice, Durability, LogFormat, Namespace, Nat, ProgramMode, Sequencer};

/// Longest duration taken from the command line: a year. Keeps arithmetic with clocks safe.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// `250ms`, `5s`, `2m`, `1h`, or bare seconds (`12`, `0.5`).
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| form(text))?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "" | "s" | "sec" | "secs" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(form(text)),
    };
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|time| *time <= LONGEST)
        .ok_or_else(|| format!("{text:?} is too long"))
}

fn form(text: &str) -> String {
    format!("{text:?} is not a duration; write 100ms, 5s, 2m, or seconds")
}

/// Address of a sequencer.
pub(crate) fn sequencer(text: &str) -> Result<String, String> {
    Sequencer::new(text, &[], false).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// A header for the sequencer, `NAME=VALUE`.
pub(crate) fn header(text: &str) -> Result<String, String> {
    Sequencer::new("http://localhost", &[text.to_owned()], false)
        .map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// `ADDR:PORT`, `:PORT` or `PORT` (on 127.0.0.1), `localhost:PORT`.
pub(crate) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let local = |port: &str| {
        port.parse().ok().map(|port: u16| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))
    };
    let short = text.strip_prefix("localhost:").or_else(|| text.strip_prefix(':')).unwrap_or(text);
    text.parse()
        .ok()
        .or_else(|| local(short))
        .ok_or_else(|| format!("{text:?} is not an address; write IP:PORT, e.g. 127.0.0.1:9001"))
}

/// `any`, `none`, `extip:IP`; reth's other words mean "find out", as `any`.
pub(crate) fn nat(text: &str) -> Result<Nat, String> {
    match text {
        "none" => Ok(Nat::None),
        "any" | "upnp" | "publicip" => Ok(Nat::Any),
        _ => text
            .strip_prefix("extip:")
            .or_else(|| text.strip_prefix("extaddr:"))
            .and_then(|ip| ip.parse::<IpAddr>().ok())
            .map(Nat::External)
            .ok_or_else(|| format!("{text:?}: write any, none or extip:IP")),
    }
}

/// `--durability`.
pub(crate) fn durability(text: &str) -> Result<Durability, String> {
    match text {
        "process" => Ok(Durability::Process),
        "power" => Ok(Durability::Power),
        _ => Err("write process or power".to_owned()),
    }
}

/// `--executor.programs`.
pub(crate) fn program_mode(text: &str) -> Result<ProgramMode, String> {
    match text {
        "off" => Ok(ProgramMode::Off),
        "shadow" => Ok(ProgramMode::Shadow),
        "on" => Ok(ProgramMode::On),
        _ => Err("write off, shadow or on".to_owned()),
    }
}

/// `--color`.
pub(crate) fn color(text: &str) -> Result<ColorChoice, String> {
    match text {
        "always" => Ok(ColorChoice::Always),
        "auto" => Ok(ColorChoice::Auto),
        "never" => Ok(ColorChoice::Never),
        _ => Err("write always, auto or never".to_owned()),
    }
}

/// `--log.stdout.format`, `--log.file.format`.
pub(crate) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "terminal" => Ok(LogFormat::Terminal),
        "json" => Ok(LogFormat::Json),
        "log-fmt" | "logfmt" => Ok(LogFormat::LogFmt),
        _ => Err("write terminal, json or log-fmt".to_owned()),
    }
}

/// Ether with decimals, as wei.
pub(crate) fn ether(text: &str) -> Result<u128, String> {
    let wrong = || format!("{text:?} is not an amount of ether; write e.g. 1.5");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction}");
    if whole.is_empty() || fraction.len() > 18 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    format!("{whole}{fraction:0<18}").parse().map_err(|_| wrong())
}

/// Extra data of a header: at most 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExtraData(pub(crate) Vec<u8>);

/// Text as it stands, or hex after `0x`.
pub(crate) fn extra_data(text: &str) -> Result<ExtraData, String> {
    let bytes = match text.strip_prefix("0x") {
        Some(digits) => unhex(digits).ok_or_else(|| format!("{text:?} is not hexadecimal"))?,
        None => text.as_bytes().to_vec(),
    };
    if bytes.len() > 32 {
        return Err(format!("{} bytes; at most 32 fit into a header", bytes.len()));
    }
    Ok(ExtraData(bytes))
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).ok()).collect()
}

/// Namespaces of `--http.api` and the names in it that we do not serve.
pub(crate) fn namespaces(text: &str) -> (Vec<Namespace>, Vec<String>) {
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            "none" => {}
            "all" => found.extend(Namespace::ALL),
            _ => match name.to_ascii_lowercase().parse::<Namespace>() {
                Ok(namespace) => found.push(namespace),
                Err(_) => unknown.push(name.to_owned()),
            },
        }
    }
    found.sort_unstable();
    found.dedup();
    (found, unknown)
}

/// Comma separated words without the empty ones.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_or_are_seconds() {
        let check = |text: &str, ms: u64| assert_eq!(duration(text), Ok(Duration::from_millis(ms)));
        check("100ms", 100);
        check("2", 2_000);
        check("5s", 5_000);
        check("0.25", 250);
        check("3m", 180_000);
        check("1h", 3_600_000);
        for wrong in ["", "ms", "5 parsecs", "-1s", "1e99", "99999999999999999999h", "1.2.3"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn metrics_addresses_may_be_short() {
        let check = |text: &str, full: &str| {
            assert_eq!(socket_address(text), Ok(full.parse().unwrap()), "{text}");
        };
        check("0.0.0.0:9001", "0.0.0.0:9001");
        check("9001", "127.0.0.1:9001");
        check(":9001", "127.0.0.1:9001");
        check("localhost:9001", "127.0.0.1:9001");
        check("[::1]:9001", "[::1]:9001");
        assert!(socket_address("nowhere").is_err());
        assert!(socket_address("70000").is_err());
    }

    #[test]
    fn unknown_namespaces_are_told_apart() {
        let (known, unknown) = namespaces("admin,engine,eth,flashbots,ETH");
        assert_eq!(known, [Namespace::Admin, Namespace::Eth]);
        assert_eq!(unknown, ["engine", "flashbots"]);
        assert_eq!(namespaces("all").0.len(), Namespace::ALL.len());
        assert_eq!(namespaces("none"), (vec![], vec![]));
    }

    #[test]
    fn ether_becomes_wei() {
        assert_eq!(ether("1.0"), Ok(10u128.pow(18)));
        assert_eq!(ether("0.000000000000000001"), Ok(1));
        assert_eq!(ether("0"), Ok(0));
        for wrong in ["1e3", "-1", "", "1.0000000000000000001", "1.2.3"] {
            assert!(ether(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn extra_data_is_text_or_hex_and_fits_a_header() {
        assert_eq!(extra_data("banyan").unwrap().0, b"banyan");
        assert_eq!(extra_data("0x0102").unwrap().0, [1, 2]);
        assert!(extra_data("0x012").is_err());
        assert!(extra_data(&"x".repeat(33)).is_err());
    }

    #[test]
    fn an_external_address_is_taken_from_nat() {
        assert_eq!(nat("extip:172.16.0.10"), Ok(Nat::External([172, 16, 0, 10].into())));
        assert_eq!(nat("none"), Ok(Nat::None));
        assert!(nat("extip:nowhere").is_err());
    }
}
