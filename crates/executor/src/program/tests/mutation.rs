//! Each guard is there for a reason: without it the program goes wrong somewhere.

use banyan_primitives::U256;

use super::{
    A, B, C, Random, Tx, World,
    fuzz::{disturb, random_tx, random_world},
    n,
    tokens::{self, Kind},
};
use crate::{
    program::{
        CallEnv, Effect, Outcome, Scratch,
        compare::difference,
        expr::{Graph, Id, Node},
        lift::lift,
        path::{Guard, Path, Step},
        record::record,
    },
    state::BlockState,
};

/// The path that a transaction takes.
fn path_of(world: &World, tx: &Tx) -> (Graph, Path) {
    let (mut graph, env) = (Graph::default(), world.env(tx));
    let events = record(&env, &mut BlockState::new(&world.state)).unwrap().0.unwrap();
    let path = lift(&mut graph, &env, &events).unwrap();
    (graph, path)
}

fn evaluate(graph: &Graph, path: &Path, world: &World, env: &CallEnv<'_>) -> Option<Effect> {
    let constants: Vec<(Id, U256)> =
        graph.nodes().iter().enumerate().filter_map(constant).collect();
    let (mut scratch, mut db) = (Scratch::default(), BlockState::new(&world.state));
    scratch.begin(graph.nodes().len(), &constants);
    let fits = scratch.fits(graph, path, env, &mut db).unwrap();
    let params = revm::context_interface::cfg::GasParams::new_spec(env.spec);
    fits.then(|| scratch.effect(path, &params, env.gas)).flatten()
}

fn constant((id, node): (usize, &Node)) -> Option<(Id, U256)> {
    match node {
        Node::Const(value) => Some((id as Id, *value)),
        _ => None,
    }
}

/// The path without each of its guards in turn.
fn mutants(graph: &Graph, path: &Path) -> Vec<(Step, Path)> {
    let guards = path.steps.iter().enumerate();
    let guards = guards.filter(|(_, step)| needs_no_collision(graph, step));
    let without = |(at, step): (usize, &Step)| {
        let mut mutant = path.clone();
        mutant.steps.remove(at);
        (*step, mutant)
    };
    guards.map(without).collect()
}

/// Guards that hold unless a hash equals a chosen number, or hashes of unlike things each other, are
/// beyond this test.
fn needs_no_collision(graph: &Graph, step: &Step) -> bool {
    let Step::Check(guard) = step else { return false };
    let nodes = guard.operands().map(|id| &graph.nodes()[usize::from(id)]);
    let unlike = match nodes {
        [Node::Keccak(..), Node::Const(_)] | [Node::Const(_), Node::Keccak(..)] => true,
        [Node::Keccak(a, _), Node::Keccak(b, _)] => a.last() != b.last(),
        _ => false,
    };
    !(unlike && matches!(guard, Guard::Distinct(..)))
}

/// Guards of `tx`'s path that random calls of the same kind do not find necessary.
fn idle_guards(kind: Kind, proxied: bool, tx: &Tx, calls: u64) -> Vec<String> {
    let mut random = Random(7);
    let mut world = random_world(kind, proxied);
    let (graph, path) = path_of(&world, tx);
    let mut alive = mutants(&graph, &path);
    assert!(!alive.is_empty());
    for _ in 0..calls {
        disturb(&mut random, &mut world);
        let other = random_tx(&mut random, &world, kind);
        let same_key = other.input.len() == tx.input.len() && other.input[..4] == tx.input[..4];
        if !same_key {
            continue;
        }
        let (executed, state) = world.evm(&other);
        let (success, gas_used, logs) = (executed.success, executed.gas_used, &executed.logs);
        let outcome = Outcome { success, gas_used, logs, state: &state };
        let env = world.env(&other);
        let wrong = |path: &Path| {
            let effect = evaluate(&graph, path, &world, &env);
            effect.is_some_and(|effect| difference(&effect, &env, &outcome).is_some())
        };
        assert!(!wrong(&path), "{other:?}");
        alive.retain(|(_, mutant)| !wrong(mutant));
    }
    alive.into_iter().map(|(guard, _)| format!("{guard:?} {}", explain(&graph, guard))).collect()
}

fn explain(graph: &Graph, step: Step) -> String {
    let Step::Check(guard) = step else { return String::new() };
    format!("{:?}", guard.operands().map(|id| &graph.nodes()[usize::from(id)]))
}

#[test]
fn a_program_without_one_of_its_guards_is_found_out() {
    let none: [String; 0] = [];
    for kind in [Kind::Plain, Kind::Paused, Kind::Blacklist, Kind::Timed, Kind::Locked] {
        let transfer = Tx::new(A, tokens::transfer(B, n(5)));
        assert_eq!(idle_guards(kind, false, &transfer, 4_000), none, "{kind:?}");
    }
    let spend = Tx::new(C, tokens::transfer_from(A, B, n(5)));
    assert_eq!(idle_guards(Kind::Plain, false, &spend, 10_000), none);
    let mint = Tx::new(A, tokens::mint(B, n(5)));
    assert_eq!(idle_guards(Kind::Plain, false, &mint, 7_000), none);
}
