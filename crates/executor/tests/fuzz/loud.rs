//! Hears what the executor says loudly: a program that was found wrong is off before it can do harm,
//! and is a fault nevertheless.

use std::{cell::RefCell, fmt::Debug};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

thread_local! {
    static HEARD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Begins to listen, on all threads.
pub(crate) fn listen() {
    // Another test of this process may have begun before.
    let _ = tracing::subscriber::set_global_default(Ear);
}

/// The errors that this thread logged since the last time.
pub(crate) fn heard() -> Vec<String> {
    HEARD.take()
}

struct Ear;

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        HEARD.with_borrow_mut(|heard| heard.push(text.0));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &format!("{field}: {value:?} ");
    }
}
