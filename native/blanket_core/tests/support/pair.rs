//! A table and its model, side by side: every operation is done to both, and the answers compared.

use std::collections::HashSet;
use std::fmt::Debug;

use blanket_core::{
    Bounds, Bulk, BulkMode, Direction, Kind, Objects, Progress, StepError, Term, UpdateError,
    Updated, pin,
};

use super::{Heap, Model, Plain, Table, Taken, Value, bulk, int, scan_all, tuple};

#[derive(Clone, Debug)]
pub enum Op {
    Insert(Value),
    InsertNew(Value),
    Bulk(BulkMode, Vec<Value>),
    /// The same in one go.
    InsertAll(BulkMode, Vec<Value>),
    /// Dropped after so many steps, if it may be.
    AbandonedBulk(Vec<Value>, usize),
    Lookup(Value),
    Member(Value),
    Delete(Value),
    DeleteObject(Value),
    Take(Value),
    /// Adds a number to the last element of the object, or of the default.
    Update(Value, Option<Value>, i64),
    /// An update that the change rejects.
    RejectedUpdate(Value),
    First,
    Last,
    Next(Value),
    Prev(Value),
    Scan(Direction, usize),
    Clear,
}

/// A table and its model.
pub struct Pair<const MASK: u64> {
    pub table: Table<Plain<MASK>>,
    pub model: Model,
}

impl<const MASK: u64> Pair<MASK> {
    pub fn new(kind: Kind, keypos: usize, bounds: Bounds) -> Self {
        Pair {
            table: Table::with_bounds(kind, keypos, bounds),
            model: Model::new(kind, keypos),
        }
    }

    /// Does `op` to both and compares the answers.
    pub fn step(&mut self, op: &Op) -> Result<(), String> {
        let (table, model) = (&self.table, &mut self.model);
        let heap = Heap::<MASK>::new();
        let term = |value: &Value| heap.build(value);
        let guard = &pin();
        let done = match op {
            Op::Insert(object) => {
                model.insert(object);
                table.insert(term(object), guard).unwrap();
                Ok(())
            }
            Op::InsertNew(object) => {
                let inserted = table.insert_new(term(object), guard).unwrap();
                same(op, inserted, model.insert_new(std::slice::from_ref(object)))
            }
            Op::Bulk(mode, objects) | Op::InsertAll(mode, objects) => {
                let inserted = match op {
                    Op::InsertAll(..) => {
                        let objects: Vec<_> = objects.iter().map(term).collect();
                        table.insert_all(&objects, *mode, guard).unwrap()
                    }
                    _ => bulk(table, *mode, 1 + objects.len() / 3, objects.iter().cloned()),
                };
                let expected = match mode {
                    BulkMode::Insert => {
                        objects.iter().for_each(|object| model.insert(object));
                        true
                    }
                    BulkMode::InsertNew => model.insert_new(objects),
                };
                same(op, inserted, expected)
            }
            Op::AbandonedBulk(objects, steps) => {
                let mut bulk = Bulk::new(table, BulkMode::Insert);
                for object in objects {
                    bulk.push(Heap::new().build(object));
                }
                let mut done = false;
                for _ in 0..*steps {
                    done = done || matches!(bulk.step(7), Progress::Done(_));
                }
                // Dropping it puts in the rest.
                let done = done || bulk.must_finish();
                drop(bulk);
                if done {
                    objects.iter().for_each(|object| model.insert(object));
                }
                Ok(())
            }
            Op::Lookup(key) => {
                let found = table.lookup(term(key), guard).unwrap();
                same_objects(op, &found, model.lookup(key))
            }
            Op::Member(key) => {
                let member = table.member(term(key), guard).unwrap();
                same(op, member, !model.lookup(key).is_empty())
            }
            Op::Delete(key) => {
                model.take(key);
                table.delete(term(key), guard).unwrap();
                Ok(())
            }
            Op::DeleteObject(object) => {
                model.delete_object(object);
                table.delete_object(term(object), guard).unwrap();
                Ok(())
            }
            Op::Take(key) => {
                let taken = table.take(term(key), guard).unwrap();
                same_objects(op, &taken, &model.take(key))
            }
            Op::Update(..) | Op::RejectedUpdate(_) if !is_set(table.kind()) => Ok(()),
            Op::Update(key, default, by) => {
                let answer = table.update(
                    term(key),
                    default.as_ref().map(term),
                    guard,
                    |elements, updated| -> Result<_, ()> {
                        let is_there = !model.lookup(key).is_empty();
                        assert_eq!(updated == Updated::Object, is_there);
                        let sum = elements.pop().unwrap().to_value().as_int() + by;
                        elements.push(term(&int(sum)));
                        Ok(sum)
                    },
                );
                let answer = answer.map_err(|_| "rejected").unwrap();
                let current = model.lookup(key).first().or(default.as_ref()).cloned();
                let expected = current.map(|object| {
                    let mut elements = object.elements().to_vec();
                    let sum = elements.pop().unwrap().as_int() + by;
                    elements.push(int(sum));
                    model.insert(&tuple(elements));
                    sum
                });
                same(op, answer, expected)
            }
            Op::RejectedUpdate(key) => {
                let answer = table.update(term(key), None, guard, |elements, _| {
                    let elements: Vec<_> = elements.iter().map(|e| e.to_value()).collect();
                    Err::<(), _>(tuple(elements))
                });
                let seen = match answer {
                    Ok(None) => None,
                    Err(UpdateError::Rejected(object)) => Some(object),
                    _ => return Err(format!("{op:?} was not rejected")),
                };
                same(op, seen.as_ref(), model.lookup(key).first())
            }
            Op::First | Op::Last => {
                let mut found = Objects::none();
                match op {
                    Op::First => table.first(&mut found, guard).unwrap(),
                    _ => table.last(&mut found, guard).unwrap(),
                }
                match op {
                    _ if !model.is_ordered() => self.same_some_key(op, &found),
                    Op::First => same_objects(op, &found, model.first()),
                    _ => same_objects(op, &found, model.last()),
                }
            }
            Op::Next(key) | Op::Prev(key) => {
                let mut found = Objects::none();
                let answer = match op {
                    Op::Next(_) => table.next(&mut found, term(key), guard),
                    _ => table.prev(&mut found, term(key), guard),
                };
                match (op, answer) {
                    (_, Err(StepError::Contended)) => Err(format!("{op:?} met a lock")),
                    (_, Err(StepError::NoSuchKey)) => {
                        same(op, model.is_ordered(), false)?;
                        same(op, model.lookup(key), &[])
                    }
                    (_, Ok(())) if !model.is_ordered() => {
                        same(op, model.lookup(key).is_empty(), false)?;
                        match found.is_empty() {
                            false => self.same_some_key(op, &found),
                            true => Ok(()),
                        }
                    }
                    (Op::Next(_), Ok(())) => same_objects(op, &found, model.next(key)),
                    (_, Ok(())) => same_objects(op, &found, model.prev(key)),
                }
            }
            Op::Scan(direction, max) => self.compare_scan(*direction, *max),
            Op::Clear => {
                model.clear();
                drop(table.clear());
                Ok(())
            }
        };
        done?;
        same(op, self.table.len(), self.model.len())
    }

    /// `found` are the objects of one key, any; of none only if there is none.
    fn same_some_key(&self, op: &Op, found: &Objects<Plain<MASK>>) -> Result<(), String> {
        match found.first() {
            None => same(op, 0, self.model.len()),
            Some(object) => {
                let key = self.model.key_of(&object.to_value());
                same_objects(op, found, self.model.lookup(&key))
            }
        }
    }

    pub fn compare_scan(&self, direction: Direction, max: usize) -> Result<(), String> {
        let mut seen = Vec::new();
        scan_all(&self.table, direction, max, |object| {
            seen.push(object.to_value());
        });
        self.compare_traversal(format!("{direction:?} scan by {max}"), seen, direction)
    }

    /// `seen` is every object once, those of one key together and in order.
    fn compare_traversal(
        &self,
        how: String,
        seen: Vec<Value>,
        direction: Direction,
    ) -> Result<(), String> {
        let model = &self.model;
        same(&how, seen.len(), model.len())?;
        if model.is_ordered() {
            let mut expected: Vec<_> = model.keys().concat();
            if matches!(direction, Direction::Backward) {
                expected.reverse();
            }
            return same(&how, seen, expected);
        }
        // As many objects as the model has, those of each key complete: then no key came twice,
        // unless another is missing, which the set of keys shows.
        let mut keys = HashSet::new();
        let mut rest = seen.as_slice();
        while let Some(object) = rest.first() {
            let key = model.key_of(object);
            let expected = model.lookup(&key);
            let (objects, others) = rest.split_at(expected.len().clamp(1, rest.len()));
            same(&how, objects, expected)?;
            if !keys.insert(key) {
                return Err(format!("{how}: {object:?} came twice"));
            }
            rest = others;
        }
        Ok(())
    }

    /// Walks all keys by `first` and `next`, or by `last` and `prev`.
    fn compare_walk(&self, direction: Direction) -> Result<(), String> {
        let guard = &pin();
        let table = &self.table;
        let mut seen = Vec::new();
        let mut found = Objects::none();
        match direction {
            Direction::Forward => table.first(&mut found, guard).unwrap(),
            Direction::Backward => table.last(&mut found, guard).unwrap(),
        }
        while let Some(object) = found.first() {
            seen.extend(found.iter().map(|object| object.to_value()));
            if seen.len() > self.model.len() {
                break;
            }
            let key = object.elements()[table.keypos() - 1];
            let step = match direction {
                Direction::Forward => table.next(&mut found, key, guard),
                Direction::Backward => table.prev(&mut found, key, guard),
            };
            step.map_err(|_| format!("no step from {key:?}"))?;
        }
        self.compare_traversal(format!("{direction:?} walk"), seen, direction)
    }

    /// Compares everything that both hold, by every way to read it.
    pub fn compare_all(&self) -> Result<(), String> {
        same("len", self.table.len(), self.model.len())?;
        for direction in [Direction::Forward, Direction::Backward] {
            if self.model.len() < 2000 {
                self.compare_scan(direction, 1)?;
            }
            self.compare_scan(direction, 100)?;
            self.compare_walk(direction)?;
        }
        for objects in self.model.keys() {
            let heap = Heap::<MASK>::new();
            let key = heap.build(&self.model.key_of(&objects[0]));
            let found = self.table.lookup(key, &pin()).map(|found| {
                let found: Vec<_> = found.iter().map(|object| object.to_value()).collect();
                found
            });
            same("lookup", found.unwrap().as_slice(), objects)?;
        }
        Ok(())
    }
}

fn is_set(kind: Kind) -> bool {
    matches!(kind, Kind::Set | Kind::OrderedSet)
}

fn same<T: PartialEq + Debug>(what: impl Debug, found: T, expected: T) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what:?}: {found:?} instead of {expected:?}"))
    }
}

fn same_objects<const MASK: u64>(
    op: &Op,
    found: &Objects<Plain<MASK>>,
    expected: &[Value],
) -> Result<(), String> {
    let found: Vec<_> = found.iter().map(|object| object.to_value()).collect();
    same(op, found.as_slice(), expected)
}
