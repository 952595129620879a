//! Hashing many nodes at once.

use banyan_primitives::keccak256;

use super::node::Reference;

/// Bytes that keccak256 takes up between two permutations.
const RATE: usize = 136;
/// Fewer messages than this are hashed one by one: a permutation of many lanes takes longer than
/// that of one.
const WORTH_LANES: usize = 3;

/// Nodes to be hashed, one after the other in one buffer.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    rlp: Vec<u8>,
    ends: Vec<usize>,
}

impl Hashes {
    /// With room for one level of so many nodes.
    pub(super) fn for_nodes(count: usize) -> Self {
        Self { rlp: Vec::with_capacity(count * 250), ends: Vec::with_capacity(count) }
    }

    /// Adds the node that `encode` appends.
    pub(super) fn add(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        encode(&mut self.rlp);
        self.ends.push(self.rlp.len());
    }

    /// The references of all nodes, in order; nothing is left.
    pub(super) fn take(&mut self, out: &mut Vec<Reference>) {
        out.clear();
        out.resize(self.ends.len(), Reference::default());
        if self.ends.len() < WORTH_LANES || !self.take_lanes(out) {
            let messages = messages(&self.rlp, &self.ends);
            messages.zip(out).for_each(|(rlp, out)| *out = reference(rlp));
        }
        self.rlp.clear();
        self.ends.clear();
    }

    /// With vector instructions; false if there are none.
    #[cfg(target_arch = "x86_64")]
    fn take_lanes(&self, out: &mut [Reference]) -> bool {
        use pulp::x86::{V3, V4};

        use super::lanes::{permute4, permute8};

        if let Some(vectors) = V4::try_new() {
            Lanes::<8>::run(&self.rlp, &self.ends, out, |states| permute8(vectors, states));
            return true;
        }
        if let Some(vectors) = V3::try_new() {
            Lanes::<4>::run(&self.rlp, &self.ends, out, |states| permute4(vectors, states));
            return true;
        }
        false
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn take_lanes(&self, _: &mut [Reference]) -> bool {
        false
    }
}

/// The reference of one node.
pub(super) fn reference(rlp: &[u8]) -> Reference {
    Reference::inline(rlp).unwrap_or_else(|| Reference::hash(keccak256(rlp).0))
}

fn messages<'a>(buffer: &'a [u8], ends: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let starts = std::iter::once(&0).chain(ends);
    starts.zip(ends).map(|(start, end)| &buffer[*start..*end])
}

/// Keccak256 of messages of any lengths, `N` at a time: a lane that is done takes up the next one.
#[cfg(target_arch = "x86_64")]
struct Lanes<'a, const N: usize> {
    states: super::lanes::States<N>,
    /// What is left to be taken up, and whose message it is; `None` if the lane has nothing to do.
    lanes: [Option<(&'a [u8], usize)>; N],
}

#[cfg(target_arch = "x86_64")]
impl<'a, const N: usize> Lanes<'a, N> {
    fn run(
        buffer: &'a [u8],
        ends: &'a [usize],
        out: &mut [Reference],
        permute: impl Fn(&mut super::lanes::States<N>),
    ) {
        let mut next = messages(buffer, ends).enumerate();
        let mut lanes = Self { states: [[0; N]; 25], lanes: [None; N] };
        loop {
            let mut done = [None; N];
            let mut busy = false;
            for lane in 0..N {
                if lanes.lanes[lane].is_none() {
                    lanes.start(lane, &mut next, out);
                }
                done[lane] = lanes.absorb(lane);
                busy |= lanes.lanes[lane].is_some() || done[lane].is_some();
            }
            if !busy {
                return;
            }
            permute(&mut lanes.states);
            for (lane, done) in done.into_iter().enumerate() {
                if let Some(message) = done {
                    out[message] = Reference::hash(lanes.hash(lane));
                }
            }
        }
    }

    /// Gives a lane the next message that is long enough to be hashed.
    fn start(
        &mut self,
        lane: usize,
        next: &mut impl Iterator<Item = (usize, &'a [u8])>,
        out: &mut [Reference],
    ) {
        for (index, message) in next {
            match Reference::inline(message) {
                Some(reference) => out[index] = reference,
                None => {
                    self.states.iter_mut().for_each(|word| word[lane] = 0);
                    self.lanes[lane] = Some((message, index));
                    return;
                }
            }
        }
    }

    /// Takes up the next block of a lane; gives the number of its message if that was the last.
    fn absorb(&mut self, lane: usize) -> Option<usize> {
        let (message, index) = self.lanes[lane]?;
        if let Some((block, rest)) = message.split_first_chunk::<RATE>() {
            self.xor(lane, block);
            self.lanes[lane] = Some((rest, index));
            return None;
        }
        let mut block = [0; RATE];
        block[..message.len()].copy_from_slice(message);
        block[message.len()] = 1;
        block[RATE - 1] |= 0x80;
        self.xor(lane, &block);
        self.lanes[lane] = None;
        Some(index)
    }

    fn xor(&mut self, lane: usize, block: &[u8; RATE]) {
        for (state, word) in self.states.iter_mut().zip(block.as_chunks::<8>().0) {
            state[lane] ^= u64::from_le_bytes(*word);
        }
    }

    fn hash(&self, lane: usize) -> [u8; 32] {
        let mut hash = [0; 32];
        for (bytes, word) in hash.as_chunks_mut::<8>().0.iter_mut().zip(&self.states) {
            *bytes = word[lane].to_le_bytes();
        }
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages of lengths `from`, `from + step` and so on.
    fn check(lengths: impl Iterator<Item = usize>) {
        let mut hashes = Hashes::default();
        let byte = |index: usize, length: usize| (index * 7 + length) as u8;
        let messages: Vec<Vec<u8>> =
            lengths.map(|length| (0..length).map(|index| byte(index, length)).collect()).collect();
        for message in &messages {
            hashes.add(|out| out.extend_from_slice(message));
        }
        let mut references = Vec::new();
        hashes.take(&mut references);
        let expected: Vec<_> = messages.iter().map(|message| reference(message)).collect();
        assert_eq!(references, expected);
        #[cfg(target_arch = "x86_64")]
        if let Some(vectors) = pulp::x86::V3::try_new() {
            let buffer = messages.concat();
            let ends: Vec<usize> =
                (1..=messages.len()).map(|count| messages[..count].concat().len()).collect();
            let mut references = vec![Reference::default(); messages.len()];
            Lanes::<4>::run(&buffer, &ends, &mut references, |states| {
                super::super::lanes::permute4(vectors, states);
            });
            assert_eq!(references, expected, "four lanes");
        }
    }

    #[test]
    fn lanes_agree_with_one_message_at_a_time() {
        for count in 0..20 {
            check((0..count).map(|index| 50 + index));
            check((0..count).map(|index| index * 45));
            check((0..count).map(|index| 1000 - index * 45));
        }
        check(0..700);
        check([135, 136, 137, 271, 272, 273, 31, 32, 0].into_iter());
    }
}
