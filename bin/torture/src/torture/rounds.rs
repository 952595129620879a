//! The loop: drive, kill, restart, look.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use blackbox::{
    genesis::Rules,
    http::Fault,
    process::{Client, Launcher},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::{
    book::{Block, Labels},
    driver::{Driver, World},
    tally::Tally,
    wallet::{State, Wallet},
};

/// Longest time between arming the killer and its blow.
const KILL_WITHIN_MS: u64 = 200;
/// Longest time between a start and a kill that comes before the client answers.
const KILL_START_WITHIN_MS: u64 = 200;
/// Things done, at most, before the killer is armed.
const MOST_WARM_UP: u64 = 8;
/// Attempts to start a client: another program may take one of its ports in between.
const STARTS: u32 = 3;

/// The whole torture.
pub(crate) struct Torture {
    launcher: Launcher,
    world: World,
    seed: u64,
    /// The result so far.
    pub(crate) tally: Tally,
}

impl Torture {
    /// Makes the database, and starts the client for the first time.
    pub(crate) fn begin(
        launcher: Launcher,
        rules: Rules,
        wallet: Wallet,
        seed: u64,
    ) -> anyhow::Result<(Self, Client)> {
        launcher.init()?;
        let mut client = launcher.spawn()?;
        if !client.answers(launcher.patience)? {
            bail!("the client does not start at all: see client.log");
        }
        let block = client.http.call("eth_getBlockByNumber", &json!(["0x0", false]))?;
        let world = World::new(rules, wallet, genesis_block(&block)?);
        Ok((Self { launcher, world, seed, tally: Tally::default() }, client))
    }

    /// One round: ends with a client that stands where it is known to stand.
    pub(crate) fn round(&mut self, round: u64, mut client: Client) -> anyhow::Result<Client> {
        let mut dice = ChaCha8Rng::seed_from_u64(self.seed);
        dice.set_stream(round);
        let end = self.drive(&mut client, &mut dice);
        let struck = client.bury()?;
        let served = self.count_end(round, end, struck);
        // A start that is cut off is followed by another.
        while dice.random_bool(0.25) {
            self.kill_in_start(&mut dice)?;
        }
        let started = Instant::now();
        let Some(client) = self.start()? else {
            self.tally.complain(round, "the client does not start".to_owned());
            return self.start_over();
        };
        self.tally.restarts.push(started.elapsed());
        let findings = self.driver(&client, &dice).inspect();
        let findings = findings.context("while looking at the client after a restart")?;
        self.tally.add(round, &findings);
        self.tally.rounds += 1;
        match (served, findings.head_lost) {
            (true, false) => Ok(client),
            (true, true) => self.bring_back(round, client),
            (false, _) => {
                client.bury()?;
                self.start_over()
            }
        }
    }

    /// Reads every block there is, at the end.
    pub(crate) fn finish(&mut self, client: Client) -> anyhow::Result<()> {
        let mut driver = self.driver(&client, &ChaCha8Rng::seed_from_u64(self.seed));
        let unreadable = driver.read_everything()?;
        for what in unreadable {
            self.tally.unreadable += 1;
            self.tally.complain(self.tally.rounds, what);
        }
        self.tally.height = self.world.book.block(self.world.acked.head).number;
        self.tally.built = self.world.book.len() - 1;
        client.bury().map(drop)
    }

    /// Does what consensus clients do until the client gives no answer.
    fn drive(&mut self, client: &mut Client, dice: &mut ChaCha8Rng) -> Fault {
        let warm_up = dice.random_range(0..=MOST_WARM_UP);
        let delay = Duration::from_millis(dice.random_range(0..KILL_WITHIN_MS));
        let mut backwards = dice.random_bool(0.25);
        for step in 0u64.. {
            if step == warm_up {
                client.kill_after(delay);
            }
            let mut driver = self.driver(client, dice);
            let done = match std::mem::take(&mut backwards) {
                true => driver.act_backwards(),
                false => driver.act(),
            };
            *dice = driver.dice;
            if let Err(fault) = done {
                return fault;
            }
        }
        unreachable!("a killed client gives no answers")
    }

    /// Counts how a round ended. False if the client refused something it must not refuse: whoever
    /// runs it would now have to step in.
    fn count_end(&mut self, round: u64, fault: Fault, struck: Option<Instant>) -> bool {
        match (&fault, struck) {
            (Fault::Broken { sent, .. }, Some(struck)) if *sent < struck => {
                self.tally.kills_in_request += 1;
            }
            (Fault::Broken { .. }, Some(_)) => self.tally.kills_between += 1,
            (Fault::Broken { .. } | Fault::Hung(_), _) => {
                self.tally.crashes += 1;
                self.tally.complain(round, fault.to_string());
            }
            (Fault::Refused(_), _) => {
                self.tally.refused += 1;
                self.tally.complain(round, format!("refused: {fault}"));
                return false;
            }
        }
        true
    }

    /// Kills the client before it has come up.
    fn kill_in_start(&mut self, dice: &mut ChaCha8Rng) -> anyhow::Result<()> {
        let mut client = self.launcher.spawn()?;
        client.kill_after(Duration::from_millis(dice.random_range(0..KILL_START_WITHIN_MS)));
        self.tally.kills_in_start += 1;
        if client.bury()?.is_none() {
            self.tally.crashes += 1;
            self.tally.complain(self.tally.rounds, "the client ended by itself".to_owned());
        }
        Ok(())
    }

    /// Starts the client and waits until it answers; `None` if it does not. A start that fails is
    /// counted, unless another program has taken a port.
    fn start(&mut self) -> anyhow::Result<Option<Client>> {
        for _ in 0..STARTS {
            let before = self.launcher.log_length();
            let mut client = self.launcher.spawn()?;
            if client.answers(self.launcher.patience)? {
                return Ok(Some(client));
            }
            client.bury()?;
            let said = self.launcher.log_since(before)?;
            if !said.to_lowercase().contains("in use") {
                self.tally.failed_starts += 1;
                let last = said.lines().last().unwrap_or_default();
                self.tally.complain(self.tally.rounds, format!("a start failed: {last}"));
            }
        }
        Ok(None)
    }

    /// Puts a client that lost blocks where it was: by forkchoiceUpdated alone if it can, else by
    /// sending the blocks again, else from nothing.
    fn bring_back(&mut self, round: u64, client: Client) -> anyhow::Result<Client> {
        let target = self.world.acked;
        let dice = ChaCha8Rng::seed_from_u64(self.seed);
        let mut driver = self.driver(&client, &dice);
        if driver.forkchoice(target, None).is_ok() {
            return Ok(client);
        }
        driver.world.acked = target;
        let resent = driver.fork_point().and_then(|number| driver.resend(number, target));
        self.tally.resent += 1;
        match resent {
            Ok(()) => Ok(client),
            Err(fault) => {
                self.tally.complain(round, format!("blocks sent again do not help: {fault}"));
                self.world.acked = target;
                client.bury()?;
                self.start_over()
            }
        }
    }

    /// With an empty database and all blocks sent again: what nobody should have to do.
    fn start_over(&mut self) -> anyhow::Result<Client> {
        self.tally.manual_repairs += 1;
        let target = self.world.acked;
        self.launcher.init()?;
        let client = self.start()?.context("the client does not even start anew")?;
        let mut driver = self.driver(&client, &ChaCha8Rng::seed_from_u64(self.seed));
        driver.resend(0, target).context("a new database does not take the blocks")?;
        Ok(client)
    }

    fn driver(&mut self, client: &Client, dice: &ChaCha8Rng) -> Driver<'_> {
        Driver {
            world: &mut self.world,
            http: client.http.clone(),
            auth: client.auth.clone(),
            dice: dice.clone(),
        }
    }
}

impl Driver<'_> {
    /// Sends the blocks above `number` of the chain of `target` again, one by one.
    fn resend(&mut self, number: u64, target: Labels) -> Result<(), Fault> {
        for hash in self.world.book.chain_above(number, target.head) {
            self.new_payload(hash)?;
            self.forkchoice(Labels { head: hash, safe: None, finalized: None }, None)?;
        }
        self.forkchoice(target, None).map(drop)
    }
}

fn genesis_block(block: &Value) -> anyhow::Result<Block> {
    let text = |field: &str| block[field].as_str().context("genesis block");
    let Ok(timestamp) = u64::from_str_radix(text("timestamp")?.trim_start_matches("0x"), 16) else {
        bail!("the timestamp of genesis is no number")
    };
    Ok(Block {
        hash: text("hash")?.parse()?,
        parent: Default::default(),
        number: 0,
        timestamp,
        new_payload: Value::Null,
        state: Rc::new(State::genesis()),
    })
}
