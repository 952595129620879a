//! The chain thread: takes one event at a time, in order. Everything that can wake it is here.

use std::{sync::Arc, thread::JoinHandle};

use banyan_primitives::{B256, RecoveredBlock};
use crossbeam_channel::{Receiver, Sender, never, select};
use tokio::sync::oneshot;

use crate::{
    ChainError, ChainView, ExecutedBlock, ForkchoiceError, ForkchoiceState, PayloadStatus,
    machine::Chain, roots::RootWorker,
};

type Reply<T, E> = oneshot::Sender<Result<T, E>>;
/// For callers that block their own thread.
type BlockingReply<T> = Sender<Result<T, ChainError>>;

/// What the chain thread can be asked.
#[derive(Debug)]
pub(crate) enum Event {
    NewPayload(RecoveredBlock, Reply<PayloadStatus, ChainError>),
    Forkchoice(ForkchoiceState, Reply<(PayloadStatus, Arc<ChainView>), ForkchoiceError>),
    Built(Arc<ExecutedBlock>),
    Import(RecoveredBlock, BlockingReply<PayloadStatus>),
    Shutdown(BlockingReply<()>),
    /// As if the process had died.
    Abort,
}

/// Why the thread ends.
enum End {
    Shutdown(BlockingReply<()>),
    /// Every handle is gone, or a fault.
    Alone,
    Abort,
}

/// Starts the thread. It ends with `Shutdown`, or when every handle is gone.
pub(crate) fn spawn(mut chain: Chain, inbox: Receiver<Event>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("chain".into()).spawn(move || {
        let end = run(&mut chain, &inbox);
        let result = if matches!(end, End::Abort) { Ok(()) } else { chain.persist_all() };
        if let Some(preloader) = &mut chain.preloader {
            preloader.stop();
        }
        chain.persister.stop();
        if let Some(worker) = &mut chain.root_worker {
            worker.stop();
        }
        if let Err(error) = &result {
            tracing::error!(%error, "could not write the newest blocks while stopping");
        }
        if let End::Shutdown(reply) = end {
            let _ = reply.send(result);
        }
    })
}

fn run(chain: &mut Chain, inbox: &Receiver<Event>) -> End {
    let persisted = chain.persister.results();
    let rooted = chain.root_worker.as_ref().map_or_else(never, RootWorker::done);
    loop {
        select! {
            recv(inbox) -> event => match event {
                Ok(Event::Shutdown(reply)) => return End::Shutdown(reply),
                Ok(Event::Abort) => return End::Abort,
                // Whoever waits for it learns that we stop when the event is dropped.
                Ok(_) if chain.is_stopping() => {}
                Ok(event) => handle(chain, event),
                Err(_) => return End::Alone,
            },
            // Blocks may be waiting for it to be written. The bell is gone once its thread is.
            recv(rooted) -> bell => match bell {
                Ok(()) => if let Err(error) = chain.persist_if_due() {
                    tracing::error!(%error, "persisting blocks failed");
                },
                Err(_) => {
                    tracing::error!("the thread of the state roots ended");
                    return End::Alone;
                }
            },
            recv(persisted) -> result => {
                let outcome = match result {
                    Ok(result) => chain.on_persisted(result).and_then(|()| chain.persist_if_due()),
                    Err(_) => Err(ChainError::Fault("the persistence thread ended".into())),
                };
                if let Err(error) = outcome {
                    tracing::error!(%error, "persisting blocks failed");
                    if matches!(error, ChainError::Fault(_)) {
                        return End::Alone;
                    }
                }
            }
        }
    }
}

/// Answers one event. A reply nobody waits for any more is no error.
fn handle(chain: &mut Chain, event: Event) {
    match event {
        Event::NewPayload(block, reply) => {
            let hash = block.hash();
            let status = chain.on_new_payload(block);
            let judged =
                matches!(status, Ok(PayloadStatus::Valid(_) | PayloadStatus::Invalid { .. }));
            let _ = reply.send(status);
            // Those that waited for an invalid block are invalid like it.
            if judged {
                connect(chain, hash);
            }
        }
        Event::Forkchoice(state, reply) => {
            let _ = reply.send(chain.on_forkchoice(state));
        }
        Event::Built(block) => {
            if let Err(error) = chain.on_built(block) {
                tracing::error!(%error, "taking in a block that we built failed");
            }
        }
        Event::Import(block, reply) => {
            let _ = reply.send(chain.on_import(block));
        }
        // The loop has taken these.
        Event::Shutdown(_) | Event::Abort => {}
    }
}

fn connect(chain: &mut Chain, parent: B256) {
    if let Err(error) = chain.connect_waiting(parent) {
        tracing::error!(%error, "executing waiting blocks failed");
    }
}

#[cfg(test)]
mod tests {
    use banyan_chainspec::ChainSpec;
    use banyan_primitives::{Block, SealedBlock};
    use banyan_storage::{Database, DatabaseOptions};
    use crossbeam_channel::unbounded;

    use super::*;
    use crate::ChainConfig;

    /// What the loop answers to a payload that waits in front of a shutdown.
    fn answer(stopping: bool) -> Option<PayloadStatus> {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(dir.path(), DatabaseOptions::default()).unwrap();
        let spec = Arc::new(ChainSpec::dev());
        let mut chain = Chain::open(spec, database, ChainConfig::default()).unwrap();
        chain.stopping.store(stopping, std::sync::atomic::Ordering::Relaxed);
        let (events, inbox) = unbounded();
        let (reply, mut answer) = oneshot::channel();
        let block = RecoveredBlock::new(SealedBlock::seal(Block::default()), vec![]);
        events.send(Event::NewPayload(block, reply)).unwrap();
        let (done, _wait) = crossbeam_channel::bounded(1);
        events.send(Event::Shutdown(done)).unwrap();
        assert!(matches!(run(&mut chain, &inbox), End::Shutdown(_)));
        answer.try_recv().ok().map(Result::unwrap)
    }

    #[test]
    fn stopping_does_not_wait_for_what_is_queued() {
        assert_eq!(answer(false), Some(PayloadStatus::Syncing));
        assert_eq!(answer(true), None);
    }
}
