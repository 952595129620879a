//! keccak256 of many messages at once, several states side by side in vector registers.

#[cfg(target_arch = "x86_64")]
mod lanes;

use crate::{B256, keccak256};

/// Bytes that keccak256 takes up between two permutations.
const RATE: usize = 136;
/// Fewer messages than this are hashed one by one: a permutation of many lanes takes longer than
/// that of one.
const WORTH_LANES: usize = 3;

/// Messages to be hashed, one after the other in one buffer.
#[derive(Debug, Default)]
pub struct Messages {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Messages {
    /// With room for so many messages and bytes.
    pub fn with_capacity(count: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(count) }
    }

    /// Adds the message that `append` appends.
    pub fn add(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        append(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Number of messages.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The messages, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[*start..*end])
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// The hashes of all, in order.
    pub fn hash(&self) -> Vec<B256> {
        let mut hashes = vec![B256::ZERO; self.len()];
        self.hash_from(0, |index, hash| hashes[index] = hash);
        hashes
    }

    /// Hands over the hash of each message of at least `shortest` bytes, with its number, in any
    /// order.
    pub fn hash_from(&self, shortest: usize, mut take: impl FnMut(usize, B256)) {
        let wanted = self.iter().enumerate().filter(|(_, message)| message.len() >= shortest);
        if self.len() < WORTH_LANES || !hash_lanes(wanted.clone(), &mut take) {
            wanted.for_each(|(index, message)| take(index, keccak256(message)));
        }
    }
}

/// With vector instructions; false if there are none.
#[cfg(target_arch = "x86_64")]
fn hash_lanes<'a>(
    wanted: impl Iterator<Item = (usize, &'a [u8])>,
    take: &mut impl FnMut(usize, B256),
) -> bool {
    use lanes::{permute4, permute8};
    use pulp::x86::{V3, V4};

    if let Some(vectors) = V4::try_new() {
        Lanes::<8>::run(wanted, take, |states| permute8(vectors, states));
        return true;
    }
    if let Some(vectors) = V3::try_new() {
        Lanes::<4>::run(wanted, take, |states| permute4(vectors, states));
        return true;
    }
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn hash_lanes<'a>(
    _: impl Iterator<Item = (usize, &'a [u8])>,
    _: &mut impl FnMut(usize, B256),
) -> bool {
    false
}

/// Messages of any lengths, `N` at a time: a lane that is done takes up the next one.
#[cfg(target_arch = "x86_64")]
struct Lanes<'a, const N: usize> {
    states: lanes::States<N>,
    /// What is left to be taken up, and whose message it is; `None` if the lane has nothing to do.
    lanes: [Option<(&'a [u8], usize)>; N],
}

#[cfg(target_arch = "x86_64")]
impl<'a, const N: usize> Lanes<'a, N> {
    fn run(
        mut messages: impl Iterator<Item = (usize, &'a [u8])>,
        take: &mut impl FnMut(usize, B256),
        permute: impl Fn(&mut lanes::States<N>),
    ) {
        let mut lanes = Self { states: [[0; N]; 25], lanes: [None; N] };
        loop {
            let mut busy = false;
            let done: [_; N] = std::array::from_fn(|lane| {
                if lanes.lanes[lane].is_none()
                    && let Some((index, message)) = messages.next()
                {
                    lanes.states.iter_mut().for_each(|word| word[lane] = 0);
                    lanes.lanes[lane] = Some((message, index));
                }
                busy |= lanes.lanes[lane].is_some();
                lanes.absorb(lane)
            });
            if !busy {
                return;
            }
            permute(&mut lanes.states);
            for (lane, done) in done.into_iter().enumerate() {
                if let Some(message) = done {
                    take(message, lanes.hash(lane));
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

    fn hash(&self, lane: usize) -> B256 {
        let mut hash = [0; 32];
        for (bytes, word) in hash.as_chunks_mut::<8>().0.iter_mut().zip(&self.states) {
            *bytes = word[lane].to_le_bytes();
        }
        B256::new(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages of these lengths.
    fn check(lengths: impl Iterator<Item = usize>) {
        let byte = |index: usize, length: usize| (index * 7 + length) as u8;
        let mut messages = Messages::default();
        for length in lengths {
            messages.add(|out| out.extend((0..length).map(|index| byte(index, length))));
        }
        let expected: Vec<_> = messages.iter().map(keccak256).collect();
        assert_eq!(messages.hash(), expected);
        let mut longer = vec![B256::ZERO; messages.len()];
        messages.hash_from(32, |index, hash| longer[index] = hash);
        for ((message, hash), longer) in messages.iter().zip(&expected).zip(longer) {
            assert_eq!(longer, if message.len() < 32 { B256::ZERO } else { *hash });
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(vectors) = pulp::x86::V3::try_new() {
            let mut hashes = vec![B256::ZERO; messages.len()];
            let take = &mut |index: usize, hash| hashes[index] = hash;
            Lanes::<4>::run(messages.iter().enumerate(), take, |states| {
                lanes::permute4(vectors, states);
            });
            assert_eq!(hashes, expected, "four lanes");
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
