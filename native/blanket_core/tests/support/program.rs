//! Random programs, run on a table and on its model.

use std::panic::{AssertUnwindSafe, catch_unwind};

use blanket_core::{Bounds, BulkMode, Direction, Kind};

use super::{Census, Op, Pair, Rng, Value, bytes, float, int, text, tiny_bounds, tuple};

/// Where keys come from.
#[derive(Clone, Copy, Debug)]
pub enum Domain {
    /// Integers below a bound.
    Integers(usize),
    /// Values of all types; integers and floats that are equal but do not match.
    Mixed(usize),
    /// Byte strings and tuples that share long beginnings.
    SharedPrefix(usize),
}

impl Domain {
    pub fn key(self, rng: &mut Rng) -> Value {
        match self {
            Domain::Integers(bound) => int(rng.below(bound) as i64),
            Domain::Mixed(bound) => {
                let number = rng.below(bound) as i64 - bound as i64 / 2;
                match rng.below(7) {
                    0 | 1 => int(number),
                    2 => float(number as f64),
                    3 => float(number as f64 + 0.5),
                    4 => text(format!("{number}")),
                    5 => tuple([int(number), text("of"), float(number as f64)]),
                    _ => bytes(vec![0; rng.below(bound.min(60))]),
                }
            }
            Domain::SharedPrefix(bound) => {
                let number = rng.below(bound);
                match rng.below(4) {
                    0 => bytes(format!("{:60}{number}", "a")),
                    1 => bytes(format!("{:20}{number:30}", "a")),
                    2 => tuple([text("tenant"), int(7), tuple([int(number as i64)])]),
                    _ => tuple([text(format!("{:50}", "b")), int(number as i64)]),
                }
            }
        }
    }
}

/// What random programs are made of.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    pub kind: Kind,
    pub keypos: usize,
    pub domain: Domain,
    pub ops: usize,
    pub tiny: bool,
    /// One of so many operations clears the table.
    pub clear_once_in: usize,
    /// One of so many operations reads the whole table.
    pub scan_once_in: usize,
}

impl Program {
    /// Runs the program that `seed` makes. When it fails, a shorter one that fails too is sought
    /// for the message.
    pub fn check<const MASK: u64>(&self, seed: u64) {
        let ops = self.generate(seed);
        let Err(failure) = self.run::<MASK>(&ops) else {
            return;
        };
        let (ops, failure) = self.shorten::<MASK>(ops, failure);
        panic!("seed {seed} of {self:?} (hash mask {MASK:#x}): {failure}\nafter {ops:#?}");
    }

    pub fn bounds(&self) -> Bounds {
        match self.tiny {
            true => tiny_bounds(),
            false => Bounds::default(),
        }
    }

    pub fn generate(&self, seed: u64) -> Vec<Op> {
        let mut rng = Rng::new(seed);
        // Phases of growing and of shrinking.
        let mut growing = true;
        (0..self.ops)
            .map(|i| {
                if i % (self.ops / 8 + 1) == 0 {
                    growing = !rng.once_in(3);
                }
                self.op(&mut rng, growing)
            })
            .collect()
    }

    fn op(&self, rng: &mut Rng, growing: bool) -> Op {
        if rng.once_in(self.clear_once_in) {
            return Op::Clear;
        }
        if rng.once_in(self.scan_once_in) {
            let direction = *rng.pick(&[Direction::Forward, Direction::Backward]);
            return Op::Scan(direction, 1 + rng.below(20));
        }
        let key = self.domain.key(rng);
        match rng.below(if growing { 24 } else { 40 }) {
            0..5 => Op::Insert(self.object(rng)),
            5..7 => Op::InsertNew(self.object(rng)),
            7 | 8 => {
                let mode = *rng.pick(&[BulkMode::Insert, BulkMode::InsertNew]);
                match rng.below(2) {
                    0 => Op::Bulk(mode, self.list(rng)),
                    _ => Op::InsertAll(mode, self.list(rng)),
                }
            }
            9 if rng.once_in(4) => Op::AbandonedBulk(self.list(rng), rng.below(6)),
            9..12 => Op::Lookup(key),
            12 => Op::Member(key),
            13 | 14 => self.update(rng),
            15 => Op::First,
            16 => Op::Last,
            17 | 18 => Op::Next(key),
            19 | 20 => Op::Prev(key),
            21 => Op::Take(key),
            22 => Op::DeleteObject(self.object(rng)),
            23..34 => Op::Delete(key),
            34..37 => Op::Take(key),
            _ => Op::DeleteObject(self.object(rng)),
        }
    }

    fn update(&self, rng: &mut Rng) -> Op {
        let default = self.object(rng);
        let key = default.elements()[self.keypos - 1].clone();
        if rng.once_in(6) {
            return Op::RejectedUpdate(key);
        }
        let default = rng.once_in(2).then_some(default);
        Op::Update(key, default, rng.below(100) as i64)
    }

    /// An object of few variants for each key, so that the same one comes again; the last element
    /// is a number and no key.
    fn object(&self, rng: &mut Rng) -> Value {
        let key = self.domain.key(rng);
        let mut elements = vec![int(0); self.keypos - 1];
        elements.push(key);
        if rng.once_in(4) {
            elements.push(text("payload ".repeat(rng.below(4))));
        }
        elements.push(int(rng.below(3) as i64));
        tuple(elements)
    }

    fn list(&self, rng: &mut Rng) -> Vec<Value> {
        let len = if rng.once_in(20) { 300 } else { rng.below(6) };
        (0..len).map(|_| self.object(rng)).collect()
    }

    fn run<const MASK: u64>(&self, ops: &[Op]) -> Result<(), String> {
        let run = || {
            let census = Census::take();
            let mut pair = Pair::<MASK>::new(self.kind, self.keypos, self.bounds());
            ops.iter().try_for_each(|op| pair.step(op))?;
            pair.compare_all()?;
            drop(pair);
            census.assert_all_reclaimed();
            Ok(())
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            Err(text.unwrap_or_else(|| "it panicked".into()))
        })
    }

    /// Leaves out what the failure does not need.
    fn shorten<const MASK: u64>(&self, mut ops: Vec<Op>, failure: String) -> (Vec<Op>, String) {
        let mut failure = failure;
        let mut runs = 400;
        let mut chunk = ops.len() / 2;
        while chunk > 0 {
            let mut start = 0;
            while start < ops.len() && runs > 0 {
                runs -= 1;
                let end = (start + chunk).min(ops.len());
                let fewer = [&ops[..start], &ops[end..]].concat();
                match self.run::<MASK>(&fewer) {
                    Err(same) => (ops, failure) = (fewer, same),
                    Ok(()) => start = end,
                }
            }
            chunk /= 2;
        }
        (ops, failure)
    }
}
