//! Which snapshots hold a currency, as a set of bits that answers "the newest before" at once.

const WORD_BITS: usize = 64;

/// No snapshot, in a table of positions.
const NONE: u32 = u32::MAX;

/// A set of snapshot positions.
#[derive(Clone, Debug, Default)]
pub(super) struct Presence {
    words: Vec<u64>,
    first: Option<u32>,
}

impl Presence {
    pub(super) fn insert(&mut self, position: u32) {
        let (word, bit) = split(position);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << bit;
        self.first = Some(self.first.map_or(position, |first| first.min(position)));
    }

    pub(super) const fn first(&self) -> Option<u32> {
        self.first
    }

    /// Returns the newest position below `end` that is in this set and the other.
    pub(super) fn newest_common(&self, other: &Self, end: u32) -> Option<u32> {
        let (last, bit) = split(end);
        let below_end = (1_u64 << bit) - 1;
        let length = self.words.len().min(other.words.len()).min(last + 1);
        (0..length).rev().find_map(|index| {
            let mask = if index == last { below_end } else { u64::MAX };
            highest(self.words[index] & other.words[index] & mask, index)
        })
    }

    /// Returns the positions of both sets, ready for [`Newest::before`].
    pub(super) fn common(&self, other: &Self) -> Newest {
        let words: Vec<u64> = self.words.iter().zip(&other.words).map(|(left, right)| left & right).collect();
        let mut newest = NONE;
        let cells = words.into_iter().enumerate().map(|(index, bits)| {
            let cell = Cell { bits, earlier: newest };
            newest = highest(bits, index).unwrap_or(newest);
            cell
        });
        let cells = cells.collect();
        Newest { cells, newest }
    }
}

/// One word of positions with the newest position before it.
#[derive(Clone, Copy, Debug)]
struct Cell {
    bits: u64,
    earlier: u32,
}

/// A set of positions that gives the newest below any other in constant time.
#[derive(Clone, Debug)]
pub(super) struct Newest {
    cells: Vec<Cell>,
    newest: u32,
}

impl Newest {
    /// Returns the newest position below `end`.
    #[inline]
    pub(super) fn before(&self, end: u32) -> Option<u32> {
        let (word, bit) = split(end);
        let newest = match self.cells.get(word) {
            Some(cell) => highest(cell.bits & ((1 << bit) - 1), word).unwrap_or(cell.earlier),
            None => self.newest,
        };
        (newest != NONE).then_some(newest)
    }
}

#[inline]
const fn split(position: u32) -> (usize, u32) {
    (position as usize / WORD_BITS, position % WORD_BITS as u32)
}

#[inline]
fn highest(bits: u64, word: usize) -> Option<u32> {
    let bit = bits.checked_ilog2()?;
    // A book has fewer than 2^32 snapshots, so the position of a bit that is set fits.
    u32::try_from(word * WORD_BITS).ok().map(|start| start + bit)
}
