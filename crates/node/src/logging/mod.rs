//! The log: terminal, JSON (the form that OP's test tools read) or log-fmt, and a log file.

mod file;
mod logfmt;
mod terminal;

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
};

use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::LevelFilter, fmt, fmt::MakeWriter, layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    NodeError,
    progress::{AboveBar, allow_bars},
};
use file::RollingFile;
use logfmt::LogFmt;
use terminal::{ForPeople, Milliseconds};

/// What is logged, where and how.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Least important lines shown on the terminal.
    pub level: LogLevel,
    /// Filter directives for the terminal; they go before `level`.
    pub filter: String,
    /// Form on the terminal.
    pub format: LogFormat,
    /// Colours on the terminal.
    pub color: ColorChoice,
    /// Use standard error, since standard output carries a result.
    pub to_stderr: bool,
    /// Log file.
    pub file: Option<FileLogConfig>,
}

/// Importance of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Faults.
    Error,
    /// What somebody should look at.
    Warn,
    /// What happens.
    Info,
    /// How it happens.
    Debug,
    /// Everything.
    Trace,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Terminal,
    /// One JSON object per line: `timestamp`, `level`, `target`, `fields`.
    Json,
    /// `key=value` pairs.
    LogFmt,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorChoice {
    /// Always.
    Always,
    /// On a terminal.
    Auto,
    /// Never.
    Never,
}

/// A log file.
#[derive(Clone, Debug)]
pub struct FileLogConfig {
    /// Its directory.
    pub directory: PathBuf,
    /// Its name; older files get `.1`, `.2` and so on.
    pub name: String,
    /// Its form.
    pub format: LogFormat,
    /// Filter directives.
    pub filter: String,
    /// Size at which a new file is begun, bytes.
    pub max_bytes: u64,
    /// Files kept.
    pub max_files: usize,
}

/// Libraries whose daily business is of no interest.
const LIBRARIES: [&str; 5] = ["hyper", "jsonrpsee", "libmdbx", "soketto", "tokio"];

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging, once per process.
pub fn init_logging(config: &LogConfig) -> Result<(), NodeError> {
    let mut layers = vec![terminal_layer(config)?];
    if let Some(file) = &config.file {
        layers.push(file_layer(file)?);
    }
    tracing_subscriber::registry()
        .with(layers)
        .try_init()
        .map_err(|error| NodeError::Setup(format!("logging: {error}")))
}

/// Logs a warning about the command line.
pub fn log_warning(text: &str) {
    tracing::warn!(target: "banyan::flags", "{text}");
}

fn terminal_layer(config: &LogConfig) -> Result<BoxedLayer, NodeError> {
    let filter = filter(config.level, &config.filter)?;
    let for_people = config.format == LogFormat::Terminal;
    let bars = allow_bars(for_people && config.level != LogLevel::Off);
    if config.to_stderr {
        let color = colored(config.color, io::stderr().is_terminal());
        let layer =
            if for_people { people(color, io::stderr) } else { layer(config.format, io::stderr) };
        return Ok(layer.with_filter(filter).boxed());
    }
    let color = colored(config.color, io::stdout().is_terminal());
    let layer = match config.format {
        LogFormat::Terminal if bars && io::stdout().is_terminal() => people(color, AboveBar::new),
        LogFormat::Terminal => people(color, io::stdout),
        format => layer(format, io::stdout),
    };
    Ok(layer.with_filter(filter).boxed())
}

fn file_layer(config: &FileLogConfig) -> Result<BoxedLayer, NodeError> {
    let file = RollingFile::open(config)
        .map_err(NodeError::file("cannot open log file", config.directory.join(&config.name)))?;
    let filter = filter(LogLevel::Debug, &config.filter)?;
    Ok(layer(config.format, file).with_filter(filter).boxed())
}

fn colored(choice: ColorChoice, terminal: bool) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => terminal,
    }
}

/// The terminal's own form.
fn people<W>(color: bool, writer: W) -> BoxedLayer
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(color);
    layer.with_target(false).with_timer(Milliseconds).fmt_fields(ForPeople).boxed()
}

/// Lines that are complete, for files and programs.
fn layer<W>(format: LogFormat, writer: W) -> BoxedLayer
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(false);
    match format {
        LogFormat::Terminal => layer.with_target(false).boxed(),
        LogFormat::Json => layer.json().boxed(),
        LogFormat::LogFmt => layer.event_format(LogFmt).boxed(),
    }
}

/// The directives, over a default level. Libraries are quieter than we are.
fn filter(level: LogLevel, directives: &str) -> Result<EnvFilter, NodeError> {
    let level = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let mut all = vec![level.to_string()];
    if level > LevelFilter::WARN {
        let libraries = if level > LevelFilter::INFO { "info" } else { "warn" };
        all.extend(LIBRARIES.map(|name| format!("{name}={libraries}")));
    }
    if level <= LevelFilter::INFO {
        // What matters comes back as an error of the call; the rest alarms for nothing, such as an
        // ERROR at each opening after a crash.
        all.push("libmdbx=off".to_owned());
    }
    all.push(directives.to_owned());
    EnvFilter::try_new(all.join(",")).map_err(|error| {
        NodeError::Setup(format!(
            "log filter {directives:?}: {error}; write e.g. info,banyan=debug"
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Buffer {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Buffer {
        type Writer = Self;
        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// What `log` writes in this form at this level.
    fn written(format: LogFormat, level: LogLevel, directives: &str, log: fn()) -> String {
        let buffer = Buffer::default();
        let filter = filter(level, directives).unwrap();
        record(layer(format, buffer.clone()).with_filter(filter).boxed(), log);
        buffer.text()
    }

    fn record(layer: BoxedLayer, log: fn()) {
        tracing::subscriber::with_default(Registry::default().with(layer), log);
    }

    #[test]
    fn people_see_short_hashes_and_whole_keys() {
        let buffer = Buffer::default();
        record(people(false, buffer.clone()), || {
            let hash = format!("0x{}", "ab".repeat(32));
            tracing::info!(number = 7, %hash, key = %hash, name = "two words", "block");
        });
        let (text, key) = (buffer.text(), "ab".repeat(32));
        let end = format!("block number=7 hash=0xababab…ababab key=0x{key} name=\"two words\"\n");
        assert!(text.contains("INFO") && text.ends_with(&end), "{text}");
        let time = text.split_whitespace().next().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    }

    #[test]
    fn json_lines_have_the_shape_that_the_op_test_tools_read() {
        let text = written(LogFormat::Json, LogLevel::Info, "", || {
            tracing::info!(url = "127.0.0.1:8551", "RPC auth server started");
        });
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(line["fields"]["message"], "RPC auth server started");
        assert_eq!(line["fields"]["url"], "127.0.0.1:8551");
        assert_eq!(line["level"], "INFO");
        assert!(line["timestamp"].is_string() && line["target"].is_string());
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn verbosity_and_directives_decide_what_is_shown() {
        let log = || {
            tracing::error!("one");
            tracing::debug!("two");
            tracing::info!(target: "hyper::proto", "three");
            tracing::trace!(target: "hyper::proto", "four");
        };
        let shown = |level, directives| {
            let text = written(LogFormat::Terminal, level, directives, log);
            ["one", "two", "three", "four"].map(|word| text.contains(word))
        };
        assert_eq!(shown(LogLevel::Off, ""), [false; 4]);
        assert_eq!(shown(LogLevel::Error, ""), [true, false, false, false]);
        assert_eq!(shown(LogLevel::Trace, ""), [true, true, true, false]);
        assert_eq!(shown(LogLevel::Error, "hyper=trace"), [true, false, true, true]);
        assert!(filter(LogLevel::Info, "a=b=c=nonsense").is_err());
    }

    #[test]
    fn log_fmt_quotes_what_needs_quotes() {
        let text = written(LogFormat::LogFmt, LogLevel::Info, "", || {
            tracing::warn!(number = 7, name = "two words", "a \"quoted\" message");
        });
        assert!(text.contains("level=warn"), "{text}");
        assert!(text.contains(r#"msg="a \"quoted\" message" number=7 name="two words""#), "{text}");
        assert!(text.ends_with('\n'));
    }
}
