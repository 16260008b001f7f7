//! Supply of memory, of which pieces are lent.

use std::iter::once;
use std::ops::Range;
use std::ptr::NonNull;

use vascx_kernels::Memory;

/// Bytes of a cache line, on which every piece begins.
const LINE: usize = 64;
/// Fewest lines of a block: a large page of the common processors.
const LEAST: usize = (2 << 20) / LINE;

/// All blocks, and how much of them is lent.
pub(super) struct Supply {
    blocks: Vec<Block>,
    /// Lines that are lent, now and at most until now.
    lent: usize,
    most: usize,
}

/// Memory in one place.
struct Block {
    /// Kept, and not looked at: those who have its pieces do.
    _memory: Memory,
    start: NonNull<u8>,
    lines: usize,
    /// Lines that are not lent, in order; never two ranges side by side.
    free: Vec<Range<usize>>,
}

// SAFETY: the pointer is to memory that the block owns.
unsafe impl Send for Block {}

/// Lines that are lent. Whoever has it alone may read and write them; all are initialised.
pub(super) struct Piece {
    pub(super) start: NonNull<u8>,
    lines: usize,
}

// SAFETY: it is the only way to its memory.
unsafe impl Send for Piece {}
// SAFETY: as above.
unsafe impl Sync for Piece {}

impl Block {
    fn new(lines: usize) -> Self {
        let mut memory = Memory::zeros(lines * LINE / size_of::<f32>());
        Self {
            start: NonNull::from(&mut memory[..]).cast(),
            _memory: memory,
            lines,
            free: once(0..lines).collect(),
        }
    }

    fn is_unused(&self) -> bool {
        self.free.first() == Some(&(0..self.lines))
    }

    /// The first lines of a free range.
    fn take(&mut self, index: usize, lines: usize) -> Piece {
        let range = &mut self.free[index];
        // SAFETY: the range lies in the block.
        let start = unsafe { self.start.add(range.start * LINE) };
        range.start += lines;
        if range.start == range.end {
            self.free.remove(index);
        }
        Piece { start, lines }
    }

    fn give_back(&mut self, range: Range<usize>) {
        let next = self.free.partition_point(|free| free.start < range.start);
        self.free.insert(next, range);
        for index in [next + 1, next] {
            if index > 0
                && index < self.free.len()
                && self.free[index - 1].end == self.free[index].start
            {
                self.free[index - 1].end = self.free.remove(index).end;
            }
        }
    }
}

impl Supply {
    pub(super) const NONE: Self = Self {
        blocks: Vec::new(),
        lent: 0,
        most: 0,
    };

    /// So many bytes, from where they leave the least beside them.
    pub(super) fn lend(&mut self, bytes: usize) -> Piece {
        let lines = bytes.div_ceil(LINE).max(1);
        self.lent += lines;
        self.most = self.most.max(self.lent);
        let free = self
            .blocks
            .iter()
            .enumerate()
            .flat_map(|(block, Block { free, .. })| {
                let ranges = free.iter().enumerate();
                ranges.map(move |(index, range)| (range.len(), block, index))
            });
        if let Some((_, block, index)) = free.filter(|&(length, ..)| length >= lines).min() {
            return self.blocks[block].take(index, lines);
        }
        let mut block = Block::new(lines.max(LEAST));
        self.make_room(block.lines);
        let piece = block.take(0, lines);
        self.blocks.push(block);
        piece
    }

    /// Gives unused blocks back to the system where the memory of all would be far more than was ever lent
    /// at once. Without any slack, threads that run passes side by side would take turns in throwing away
    /// what the other needs.
    fn make_room(&mut self, lines: usize) {
        let most = self.most + self.most / 4;
        while lines + self.blocks.iter().map(|block| block.lines).sum::<usize>() > most {
            let unused = self.blocks.iter().position(Block::is_unused);
            let Some(unused) = unused else { return };
            self.blocks.remove(unused);
        }
    }

    pub(super) fn give_back(&mut self, piece: &Piece) {
        let address = piece.start.addr().get();
        let offset = |block: &Block| address.wrapping_sub(block.start.addr().get());
        let mut blocks = self.blocks.iter_mut();
        let block = blocks.find(|block| offset(block) < block.lines * LINE);
        let block = block.expect("a block is kept while a piece of it is lent");
        let first = offset(block) / LINE;
        block.give_back(first..first + piece.lines);
        self.lent -= piece.lines;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1 << 20;

    fn sizes(supply: &Supply) -> Vec<usize> {
        supply
            .blocks
            .iter()
            .map(|block| block.lines * LINE / MB)
            .collect()
    }

    #[test]
    fn a_large_piece_serves_several_small_ones() {
        let mut supply = Supply::NONE;
        let large = supply.lend(16 * MB);
        let start = large.start;
        supply.give_back(&large);
        let small = [(); 4].map(|()| supply.lend(4 * MB));
        for (index, piece) in small.iter().enumerate() {
            assert_eq!(piece.start, unsafe { start.add(index * 4 * MB) });
        }
        for index in [2, 0, 3, 1] {
            supply.give_back(&small[index]);
        }
        assert_eq!(supply.lend(16 * MB).start, start, "whole again");
        assert_eq!(sizes(&supply), [16]);
    }

    #[test]
    fn pieces_are_taken_from_where_they_fit_best() {
        let mut supply = Supply::NONE;
        let pieces = [8, 3, 5].map(|size| supply.lend(size * MB));
        for piece in &pieces {
            supply.give_back(piece);
        }
        let [of_8, of_3, of_5] = pieces.map(|piece| piece.start);
        assert_eq!(supply.lend(4 * MB).start, of_5);
        assert_eq!(supply.lend(6 * MB).start, of_8);
        assert_eq!(supply.lend(3 * MB - LINE).start, of_3);
    }

    /// Memory for passes of a growing network does not add up.
    #[test]
    fn unused_blocks_that_are_too_small_go() {
        let mut supply = Supply::NONE;
        for size in 2..20 {
            let piece = supply.lend(size * MB);
            supply.give_back(&piece);
            assert_eq!(sizes(&supply), [size]);
        }
        let held = supply.lend(4 * MB);
        let larger = supply.lend(40 * MB);
        assert_eq!(sizes(&supply), [19, 40], "a block with a piece stays");
        supply.give_back(&held);
        supply.give_back(&larger);
        assert_eq!(supply.lent, 0);
    }

    /// Many sizes, held for many times, whose values tell whether two overlap.
    #[test]
    fn pieces_never_overlap() {
        let mut supply = Supply::NONE;
        let mut held: Vec<(Piece, usize, u8)> = Vec::new();
        let mut random = 1_u32;
        for round in 0..3000_u32 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let choice = (random >> 8) as usize;
            if held.len() > 12 || choice.is_multiple_of(3) && !held.is_empty() {
                let (piece, bytes, mark) = held.swap_remove(choice % held.len());
                // SAFETY: the piece is lent to this test alone.
                let values = unsafe { std::slice::from_raw_parts(piece.start.as_ptr(), bytes) };
                assert!(values.iter().all(|&value| value == mark), "round {round}");
                supply.give_back(&piece);
                continue;
            }
            let (bytes, mark) = (choice % (6 * MB / 64) + 1, round as u8);
            let piece = supply.lend(bytes);
            assert_eq!(piece.start.addr().get() % LINE, 0);
            // SAFETY: as above.
            unsafe { piece.start.write_bytes(mark, bytes) };
            held.push((piece, bytes, mark));
        }
        for (piece, ..) in &held {
            supply.give_back(piece);
        }
        assert_eq!(supply.lent, 0);
        assert!(supply.blocks.iter().all(Block::is_unused));
    }
}
