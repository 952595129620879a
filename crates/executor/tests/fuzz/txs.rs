//! Transactions: what they are, to whom, with how much gas and money, and what is wrong with them.

use std::collections::HashMap;

use alloy_eips::eip2930::{AccessList, AccessListItem};
use banyan_chainspec::{Fork, OpFork, Rules};
use banyan_executor::L1Fees;
use banyan_primitives::{
    Address, B256, Bytes, Encodable2718, Header, StateSource, TxDeposit, TxKind, U256,
};
use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use crate::{
    authority,
    chain::{Live, Sent, attributes_length, selector},
    common::block::{BASE_FEE_VAULT, L1_BLOCK},
    draft::Draft,
    tokens,
    world::{BENEFICIARY, DEPOSIT_CONTRACT, DEPOSITOR, World},
};

/// What a chain is mostly made of: each chain leaves most kinds out, so that some get dense.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    kinds: Vec<Kind>,
    /// Of a hundred transactions, those that are spoilt, and those with tight gas.
    spoilt: u32,
    tight: u32,
    /// Few senders, or one; all that is sent to one.
    hot_sender: bool,
    hot_token: Option<usize>,
    /// One contract gets most calls.
    hot_contract: Option<usize>,
    /// Deposits stand between other transactions too.
    late_deposits: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Transfer,
    Contract,
    Token,
    TokenAdmin,
    Create,
    Redeploy,
    Delegate,
    Blob,
    Deposit,
    System,
}

type Gas = HashMap<(Address, [u8; 4]), u64>;

/// What transactions are made from: the block they stand in and the state they find.
struct Scene<'a> {
    world: &'a World,
    header: &'a Header,
    rules: &'a Rules,
    live: &'a Live,
    gas: &'a Gas,
}

impl Plan {
    pub(crate) fn new(rng: &mut impl Rng) -> Self {
        use Kind::*;
        let all = [
            Transfer, Transfer, Contract, Contract, Token, Token, TokenAdmin, Create, Redeploy,
            Delegate, Blob, Deposit, System,
        ];
        let count = rng.random_range(1..5);
        let mut kinds: Vec<_> = (0..count).map(|_| *all.choose(rng).unwrap()).collect();
        if rng.random_ratio(1, 3) {
            kinds.extend(all);
        }
        // Programs are learnt from many calls of one token or contract.
        match rng.random_range(0..16) {
            0..=4 => kinds.extend([Token; 8]),
            5 | 6 => kinds = vec![Token],
            7 => kinds = vec![Token, Token, Token, TokenAdmin, Contract],
            8 | 9 => kinds = vec![Contract],
            10 => kinds = vec![Transfer],
            _ => {}
        }
        Self {
            kinds,
            spoilt: *[0, 0, 0, 5, 5, 30].choose(rng).unwrap(),
            tight: *[0, 5, 20, 60].choose(rng).unwrap(),
            hot_sender: rng.random_ratio(1, 4),
            hot_token: rng.random_ratio(2, 3).then(|| rng.random_range(0..6)),
            hot_contract: rng
                .random_ratio(1, 2)
                .then(|| *[17, 18, 19, 20, rng.random_range(0..64)].choose(rng).unwrap()),
            late_deposits: rng.random_ratio(1, 6),
        }
    }

    pub(crate) fn is_only_transfers(&self) -> bool {
        self.kinds == [Kind::Transfer]
    }

    /// Transaction number `index` of those tried in a block.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn transaction(
        &self,
        rng: &mut ChaCha8Rng,
        world: &World,
        header: &Header,
        rules: &Rules,
        live: &Live,
        gas: &Gas,
        index: usize,
    ) -> Sent {
        let scene = Scene { world, header, rules, live, gas };
        if rules.op.is_some() {
            // Where anybody may set the attributes, no deposit comes after a user was refused: which
            // of them holds then is nobody's question.
            if index == 0 && (world.open_l1 || !rng.random_ratio(1, 40)) {
                return scene.attributes(rng);
            }
            let front = index < 3 && rng.random_ratio(1, 3);
            let late = self.late_deposits && rng.random_ratio(1, 8);
            if (front || late) && !world.open_l1 {
                return scene.deposit(rng);
            }
        }
        let sender = self.sender(rng, &scene);
        let mut kind = *self.kinds.choose(rng).unwrap();
        if !scene.knows(kind) && !rng.random_ratio(1, 20) {
            kind = *[Kind::Transfer, Kind::Contract, Kind::Token].choose(rng).unwrap();
        }
        let mut draft = scene.draft(rng, kind, sender, self);
        let tight = rng.random_ratio(self.tight, 100);
        scene.set_gas(rng, &mut draft, tight);
        let often = if kind == Kind::Transfer { 20 } else { 80 };
        if rng.random_ratio(1, often) {
            // Mostly to somebody who can spend it again.
            if kind == Kind::Transfer && !rng.random_ratio(1, 5) {
                draft.to = (*world.cast.senders.choose(rng).unwrap()).into();
            }
            scene.spend_all(rng, &mut draft, sender);
        }
        if rng.random_ratio(self.spoilt, 100) {
            let sender = scene.spoil(rng, &mut draft, sender);
            return (draft.seal(sender), sender);
        }
        (draft.seal(sender), sender)
    }

    /// Mostly one that can pay.
    fn sender(&self, rng: &mut impl Rng, scene: &Scene<'_>) -> Address {
        let senders = &scene.world.cast.senders;
        let enough = U256::from(10).pow(U256::from(21));
        for attempt in 0..8 {
            let hot = attempt == 0 && self.hot_sender && !rng.random_ratio(1, 8);
            let sender = if hot { senders[0] } else { *senders.choose(rng).unwrap() };
            let account = scene.live.account(sender);
            let able = account.balance > enough && account.nonce < u64::MAX;
            if able || rng.random_ratio(1, 12) {
                return sender;
            }
        }
        senders[0]
    }
}

impl Scene<'_> {
    fn knows(&self, kind: Kind) -> bool {
        match kind {
            Kind::Blob => self.rules.is(Fork::Cancun) && self.rules.op.is_none(),
            Kind::Delegate => self.rules.is(Fork::Prague),
            _ => true,
        }
    }

    fn address(&self, rng: &mut impl Rng) -> Address {
        match rng.random_range(0..16) {
            0 => self.header.beneficiary,
            1 => Address::from_word(B256::from(U256::from(rng.random::<u16>()) << 120)),
            _ => *self.world.cast.pools.addresses.choose(rng).unwrap(),
        }
    }

    fn word(&self, rng: &mut impl Rng) -> U256 {
        match rng.random_range(0..8) {
            0 | 1 => U256::from(rng.random_range(0..5)),
            2 => U256::MAX >> rng.random_range(0..256),
            3 => U256::ONE << rng.random_range(0..256),
            _ => U256::from_be_slice(self.address(rng).as_slice()),
        }
    }

    fn draft(&self, rng: &mut ChaCha8Rng, kind: Kind, sender: Address, plan: &Plan) -> Draft {
        let cast = &self.world.cast;
        let mut draft = self.envelope(rng, sender);
        match kind {
            Kind::Transfer | Kind::Deposit => self.transfer(rng, &mut draft, sender),
            Kind::Contract => self.contract(rng, &mut draft, plan.hot_contract),
            Kind::Token => self.token(rng, &mut draft, sender, plan.hot_token),
            Kind::TokenAdmin => {
                let token = *cast.tokens.choose(rng).unwrap();
                draft.to = token.into();
                let new = *cast.tokens.choose(rng).unwrap();
                let upgrade = tokens::call(tokens::UPGRADE, &[U256::from_be_slice(new.as_slice())]);
                let admin = tokens::call(tokens::ADMIN, &[self.word(rng)]);
                draft.data = if rng.random() { upgrade } else { admin }.into();
            }
            Kind::Create => {
                draft.to = TxKind::Create;
                draft.data = cast.pools.init(rng).into();
                draft.value = U256::from(rng.random_range(0..2));
            }
            Kind::Redeploy => self.redeploy(rng, &mut draft),
            Kind::Delegate => self.delegate(rng, &mut draft, sender),
            Kind::Blob => {
                self.transfer(rng, &mut draft, sender);
                draft.kind = 3;
                let mut hash = B256::with_last_byte(5);
                hash.0[0] = 1;
                draft.blobs = vec![hash; rng.random_range(1..4)];
                draft.blob_fee = *[1, 1_000_000, 10].choose(rng).unwrap();
            }
            Kind::System => {
                let system = [
                    alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS,
                    alloy_eips::eip4788::BEACON_ROOTS_ADDRESS,
                    alloy_eips::eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
                    alloy_eips::eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
                    DEPOSIT_CONTRACT,
                    L1_BLOCK,
                    BASE_FEE_VAULT,
                ];
                draft.to = (*system.choose(rng).unwrap()).into();
                draft.data = match draft.to == DEPOSIT_CONTRACT.into() && !rng.random_ratio(1, 8) {
                    true => deposit_event(),
                    false => U256::from(rng.random_range(0..9)).to_be_bytes::<32>().into(),
                };
            }
        }
        draft
    }

    /// Type, price and nonce.
    fn envelope(&self, rng: &mut impl Rng, sender: Address) -> Draft {
        let rules = self.rules;
        let kind = match rng.random_range(0..6) {
            0 | 1 if rules.is(Fork::London) => 2,
            2 if rules.is(Fork::Berlin) => 1,
            3 if rules.is(Fork::London) => 2,
            _ => 0,
        };
        let base_fee = u128::from(self.header.base_fee_per_gas.unwrap_or(1));
        let tip = *[0, 1, 2, 1_000_000_000].choose(rng).unwrap();
        let access = match kind > 0 && rng.random_ratio(1, 4) {
            true => self.access_list(rng),
            false => AccessList::default(),
        };
        let protected = rules.is(Fork::SpuriousDragon) && (kind > 0 || rng.random());
        Draft {
            kind,
            chain_id: protected.then_some(self.world.spec.chain_id),
            nonce: self.live.account(sender).nonce,
            max_fee: base_fee + tip + if rng.random() { 0 } else { 10 },
            tip,
            access,
            ..Default::default()
        }
    }

    fn access_list(&self, rng: &mut impl Rng) -> AccessList {
        let items = (0..rng.random_range(1..4)).map(|_| {
            let slots =
                (0..rng.random_range(0..3)).map(|_| B256::from(U256::from(rng.random_range(0..4))));
            AccessListItem { storage_keys: slots.collect(), address: self.address(rng) }
        });
        AccessList(items.collect())
    }

    fn transfer(&self, rng: &mut impl Rng, draft: &mut Draft, sender: Address) {
        let cast = &self.world.cast;
        let to = match rng.random_range(0..8) {
            0 => sender,
            1 => self.header.beneficiary,
            2 => BENEFICIARY,
            3 | 4 => *cast.senders.choose(rng).unwrap(),
            _ => self.address(rng),
        };
        draft.to = to.into();
        let value = match rng.random_range(0..8) {
            0 => 0,
            1 => 1_000_000_000_000_000_000,
            _ => rng.random_range(0..1000u64),
        };
        draft.value = U256::from(value);
        if rng.random_ratio(1, 12) {
            draft.data = vec![rng.random_range(0..2); rng.random_range(1..200)].into();
        }
    }

    fn contract(&self, rng: &mut impl Rng, draft: &mut Draft, hot: Option<usize>) {
        let cast = &self.world.cast;
        if let Some(index) = hot.filter(|_| !rng.random_ratio(1, 6)) {
            draft.to = cast.contracts[index % cast.contracts.len()].into();
            let data = (0..4).flat_map(|_| self.word(rng).to_be_bytes::<32>());
            draft.data = data.collect::<Vec<_>>().into();
            return;
        }
        let to = match rng.random_range(0..12) {
            0 => self.address(rng),
            // Those made at random stand at the end.
            1..=5 => cast.contracts[cast.contracts.len() - 1 - rng.random_range(0..5)],
            _ => *cast.contracts.choose(rng).unwrap(),
        };
        draft.to = to.into();
        draft.value = U256::from(if rng.random_ratio(1, 3) { rng.random_range(0..100) } else { 0 });
        let mut data = Vec::new();
        for _ in 0..rng.random_range(0..4) {
            data.extend(self.word(rng).to_be_bytes::<32>());
        }
        if rng.random_ratio(1, 4) {
            // For contracts that pass calls on.
            data = self.address(rng).into_word().to_vec();
            data.extend(self.token_call(rng, to));
        }
        draft.data = data.into();
    }

    fn token(
        &self,
        rng: &mut impl Rng,
        draft: &mut Draft,
        sender: Address,
        hot_token: Option<usize>,
    ) {
        let tokens = &self.world.cast.tokens;
        let token = match hot_token {
            Some(index) if !rng.random_ratio(1, 10) => tokens[index],
            _ => *tokens.choose(rng).unwrap(),
        };
        // An account may be delegated to a token: then it is one.
        let to = match rng.random_ratio(1, 20) {
            true => authority::addresses()[rng.random_range(0..3)],
            false => token,
        };
        draft.to = to.into();
        let mut data = self.token_call_of(rng, to, sender);
        match rng.random_range(0..40) {
            0 => data.extend([rng.random::<u8>() & 1; 40]),
            1 => data.truncate(rng.random_range(0..data.len())),
            2 if data.len() > 4 => data[4] = 1,
            _ => {}
        }
        draft.data = data.into();
        let pays = selector(&draft.data) == tokens::DEPOSIT.to_be_bytes();
        if pays || rng.random_ratio(1, 30) {
            draft.value = U256::from(rng.random_range(0..100));
        }
    }

    fn token_call(&self, rng: &mut impl Rng, token: Address) -> Vec<u8> {
        let sender = *self.world.cast.senders.choose(rng).unwrap();
        self.token_call_of(rng, token, sender)
    }

    fn token_call_of(&self, rng: &mut impl Rng, token: Address, sender: Address) -> Vec<u8> {
        let to_word = |address: Address| U256::from_be_slice(address.as_slice());
        let receiver = match rng.random_range(0..6) {
            0 => sender,
            1 => self.address(rng),
            _ => *self.world.cast.senders.choose(rng).unwrap(),
        };
        let owner = *self.world.cast.senders.choose(rng).unwrap();
        let held = |owner| self.live.storage(&token, tokens::balance_slot(owner)).unwrap();
        let amount = |rng: &mut _, owner| match Rng::random_range(rng, 0..10) {
            0 => U256::ZERO,
            1 => held(owner),
            2 => held(owner).wrapping_add(U256::ONE),
            3 => U256::MAX,
            _ => U256::from(Rng::random_range(rng, 1..20)),
        };
        match rng.random_range(0..20) {
            0..=10 => tokens::call(tokens::TRANSFER, &[to_word(receiver), amount(rng, sender)]),
            11..=13 => {
                let words = [to_word(owner), to_word(receiver), amount(rng, owner)];
                tokens::call(tokens::TRANSFER_FROM, &words)
            }
            14 => tokens::call(tokens::APPROVE, &[to_word(receiver), amount(rng, sender)]),
            15 => tokens::call(tokens::MINT, &[to_word(receiver), amount(rng, owner)]),
            16 => tokens::call(tokens::BURN, &[amount(rng, sender)]),
            17 => tokens::call(tokens::DEPOSIT, &[]),
            18 => tokens::call(tokens::WITHDRAW, &[amount(rng, sender)]),
            _ => tokens::call(tokens::BALANCE_OF, &[to_word(owner)]),
        }
    }

    /// The same address once more: with what is given, or with what its deployer says.
    fn redeploy(&self, rng: &mut ChaCha8Rng, draft: &mut Draft) {
        let cast = &self.world.cast;
        let deployer = cast.deployers[usize::from(rng.random_ratio(1, 4))];
        draft.to = deployer.into();
        draft.value = U256::from(rng.random_range(0..2));
        // One init code often, so that the address is met again; it dies when called.
        let mortal = crate::asm::deployer(&crate::asm::asm("0 calldataload selfdestruct"));
        let by_caller = crate::asm::asm("32 0 0 0 0 caller gas call pop 4 28 return");
        let made = deployer.create2_from_code(B256::ZERO, &mortal);
        match rng.random_range(0..6) {
            0 | 1 => draft.data = mortal.into(),
            2 => draft.data = by_caller.into(),
            3 => draft.data = cast.pools.init(rng).into(),
            _ => {
                draft.to = made.into();
                draft.data = self.word(rng).to_be_bytes::<32>().into();
            }
        }
    }

    fn delegate(&self, rng: &mut ChaCha8Rng, draft: &mut Draft, sender: Address) {
        let authorities = authority::addresses();
        draft.kind = 4;
        draft.chain_id = Some(self.world.spec.chain_id);
        let mut nonces = authorities.map(|address| self.live.account(address).nonce);
        if let Some(own) = authorities.iter().position(|address| *address == sender) {
            nonces[own] = nonces[own].wrapping_add(1);
        }
        for _ in 0..rng.random_range(1..4) {
            let signer = rng.random_range(0..3);
            let target = match rng.random_range(0..6) {
                0 | 1 => Address::ZERO,
                2 => *self.world.cast.tokens.choose(rng).unwrap(),
                3 => authorities[rng.random_range(0..3)],
                4 => Address::with_last_byte(rng.random_range(1..11)),
                _ => *self.world.cast.contracts.choose(rng).unwrap(),
            };
            let chain_id = [0, self.world.spec.chain_id, self.world.spec.chain_id, 99];
            let nonce = match rng.random_ratio(1, 8) {
                true => nonces[signer].wrapping_add(1),
                false => nonces[signer],
            };
            let chain_id = *chain_id.choose(rng).unwrap();
            draft.authorizations.push(authority::sign(signer, chain_id, target, nonce));
            if nonce == nonces[signer] && chain_id != 99 {
                nonces[signer] = nonces[signer].wrapping_add(1);
            }
        }
        let to = if rng.random() { authorities[rng.random_range(0..3)] } else { self.address(rng) };
        draft.to = to.into();
        draft.data = self.token_call(rng, to).into();
        draft.value = U256::from(rng.random_range(0..2));
    }

    /// Enough gas, or just about what it takes.
    fn set_gas(&self, rng: &mut impl Rng, draft: &mut Draft, tight: bool) {
        let enough = match draft.to {
            TxKind::Create => 300_000,
            TxKind::Call(_) if draft.data.is_empty() && !rng.random_ratio(1, 4) => 21_000,
            TxKind::Call(_) => *[60_000, 100_000, 200_000].choose(rng).unwrap(),
        };
        let lists = 2400 * draft.access.0.len() as u64 + 25_000 * draft.authorizations.len() as u64;
        draft.gas_limit = enough + lists;
        let TxKind::Call(to) = draft.to else {
            if tight {
                draft.gas_limit = rng.random_range(53_000..150_000);
            }
            return;
        };
        if !tight {
            return;
        }
        let known = self.gas.get(&(to, selector(&draft.data))).copied().unwrap_or(30_000);
        draft.gas_limit = match rng.random_range(0..5) {
            0 => known,
            1 => known.saturating_sub(rng.random_range(0..10)),
            2 => known + rng.random_range(0..10),
            3 => (known + 5000).saturating_sub(rng.random_range(0..10_000)),
            _ => rng.random_range(21_000..80_000),
        };
    }

    /// All that the sender has, to the last wei; or one too much or too little.
    fn spend_all(&self, rng: &mut impl Rng, draft: &mut Draft, sender: Address) {
        let balance = self.live.account(sender).balance;
        let fees = L1Fees::read(&self.world.spec, self.header.timestamp, self.live).unwrap();
        for _ in 0..2 {
            let l1 = fees.as_ref().map_or(U256::ZERO, |fees| {
                fees.cost(&draft.clone().seal(sender).encoded_2718(), draft.gas_limit)
            });
            let blobs = U256::from(draft.blobs.len() << 17) * U256::from(draft.blob_fee);
            let gas = U256::from(draft.gas_limit) * U256::from(draft.max_fee);
            let spent = gas.saturating_add(l1).saturating_add(blobs);
            draft.value = balance.saturating_sub(spent);
        }
        match rng.random_range(0..4) {
            0 => draft.value = draft.value.wrapping_add(U256::ONE),
            1 => draft.value = draft.value.saturating_sub(U256::ONE),
            _ => {}
        }
    }

    /// Makes a transaction that nobody should accept; gives back its sender.
    fn spoil(&self, rng: &mut impl Rng, draft: &mut Draft, sender: Address) -> Address {
        match rng.random_range(0..18) {
            0..=2 => draft.nonce = draft.nonce.wrapping_sub(1),
            3..=5 => draft.nonce = draft.nonce.wrapping_add(1),
            6 => draft.value = U256::MAX >> rng.random_range(0..3),
            7 => draft.gas_limit = rng.random_range(0..21_000),
            8 => draft.max_fee = draft.max_fee.saturating_sub(draft.tip + 11),
            9 => draft.tip = draft.max_fee + 1,
            10 => draft.chain_id = Some(4711),
            11 => draft.gas_limit = self.header.gas_limit + 1,
            12 => draft.gas_limit = (1 << 24) + 1,
            13 => draft.kind = rng.random_range(0..5),
            14 => draft.blobs = vec![B256::ZERO; rng.random_range(0..8)],
            15 => draft.max_fee = u128::MAX,
            16 => {
                draft.nonce = 1;
                return *self.world.cast.contracts.choose(rng).unwrap();
            }
            _ => {
                draft.to = TxKind::Create;
                draft.data = vec![0; 49_153].into();
                draft.gas_limit = 2_000_000;
            }
        }
        sender
    }

    /// The deposit that opens a block: random attributes, in the form of the fork.
    fn attributes(&self, rng: &mut impl Rng) -> Sent {
        let length = attributes_length(self.world, self.header.timestamp);
        let mut input = vec![0; length];
        rng.fill(&mut input[4..]);
        input[..4].copy_from_slice(match length {
            260 => &[0x01, 0x5d, 0x8e, 0xb9],
            164 => &[0x44, 0x0a, 0x5e, 0x20],
            176 => &[0x09, 0x89, 0x99, 0xbe],
            _ => &[0x3d, 0xb6, 0xbe, 0x2b],
        });
        if length == 178 {
            let scalar: u16 = *[0, 10, 400, 400, u16::MAX].choose(rng).unwrap();
            input[176..].copy_from_slice(&scalar.to_be_bytes());
        }
        let deposit = TxDeposit {
            source_hash: B256::from(rng.random::<[u8; 32]>()),
            from: DEPOSITOR,
            to: L1_BLOCK.into(),
            gas_limit: 1_000_000,
            is_system_transaction: !self.rules.is_op(OpFork::Regolith),
            input: input.into(),
            ..Default::default()
        };
        (deposit.into(), DEPOSITOR)
    }

    fn deposit(&self, rng: &mut ChaCha8Rng) -> Sent {
        let from = match rng.random_range(0..4) {
            0 => self.address(rng),
            _ => *self.world.cast.senders.choose(rng).unwrap(),
        };
        let to = match rng.random_range(0..8) {
            0 => TxKind::Create,
            1 => (*self.world.cast.tokens.choose(rng).unwrap()).into(),
            _ => self.address(rng).into(),
        };
        let input = match to {
            TxKind::Create => self.world.cast.pools.init(rng),
            TxKind::Call(to) if rng.random() => self.token_call_of(rng, to, from),
            TxKind::Call(_) => Vec::new(),
        };
        let deposit = TxDeposit {
            source_hash: B256::from(rng.random::<[u8; 32]>()),
            from,
            to,
            mint: if rng.random() { rng.random_range(0..10_000) } else { 0 },
            value: U256::from(rng.random_range(0..10_000)),
            gas_limit: *[21_000, 50_000, 100_000, 1000].choose(rng).unwrap(),
            is_system_transaction: rng.random_ratio(1, 40),
            input: input.into(),
        };
        (deposit.into(), from)
    }
}

/// Data of a deposit event as the deposit contract lays it out.
fn deposit_event() -> Bytes {
    let mut data = vec![1; 576];
    let fields = [(160usize, 48usize), (256, 32), (320, 8), (384, 96), (512, 8)];
    for (index, (offset, length)) in fields.into_iter().enumerate() {
        for (at, number) in [(32 * index, offset), (offset, length)] {
            data[at..at + 32].copy_from_slice(&U256::from(number).to_be_bytes::<32>());
        }
    }
    data.into()
}
