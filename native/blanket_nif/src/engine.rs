//! Stands in for the parts of `blanket_core` that have not landed yet; goes when they do.
#![allow(dead_code, unused_variables, clippy::ptr_arg)]

use std::marker::PhantomData;

use blanket_core::Guard;
use smallvec::SmallVec;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Set,
    OrderedSet,
    Bag,
    DuplicateBag,
}
#[derive(Debug)]
pub struct Contended;
pub enum StepError {
    Contended,
    NoSuchKey,
}
pub enum UpdateError<E> {
    Contended,
    Rejected(E),
}
#[derive(Clone, Copy)]
pub enum Direction {
    Forward,
    Backward,
}
pub struct Table<T> {
    kind: Kind,
    keypos: usize,
    of: PhantomData<fn() -> T>,
}
pub struct Discarded<T>(PhantomData<fn() -> T>);
impl<T> Drop for Discarded<T> {
    fn drop(&mut self) {}
}
pub struct Objects<'g, T>(PhantomData<(&'g (), T)>);
impl<'g, T: Copy + 'g> Objects<'g, T> {
    pub fn len(&self) -> usize {
        0
    }
    pub fn is_empty(&self) -> bool {
        true
    }
    pub fn iter(&self) -> impl Iterator<Item = T> {
        std::iter::empty()
    }
    pub fn first(&self) -> Option<T> {
        None
    }
    pub fn get(&self, i: usize) -> Option<T> {
        None
    }
    pub fn park(&self) -> ParkedObjects<T> {
        ParkedObjects(PhantomData)
    }
}
pub struct ParkedObjects<T>(PhantomData<fn() -> T>);
impl<T> ParkedObjects<T> {
    pub fn len(&self) -> usize {
        0
    }
    pub fn get(&self, i: usize) -> Option<T> {
        None
    }
}
pub struct Position<'g, T>(PhantomData<(&'g (), T)>);
impl<'g, T> Position<'g, T> {
    pub fn start() -> Self {
        Position(PhantomData)
    }
    pub fn park(self) -> Parked<T> {
        Parked(PhantomData)
    }
}
pub struct Parked<T>(PhantomData<fn() -> T>);
impl<T> Parked<T> {
    pub fn unpark<'g>(self, g: &'g Guard) -> Position<'g, T> {
        Position(PhantomData)
    }
}
impl<T: Copy> Table<T> {
    pub fn new(kind: Kind, keypos: usize) -> Self {
        Table {
            kind,
            keypos,
            of: PhantomData,
        }
    }
    pub fn kind(&self) -> Kind {
        self.kind
    }
    pub fn keypos(&self) -> usize {
        self.keypos
    }
    pub fn len(&self) -> usize {
        0
    }
    pub fn bytes(&self) -> usize {
        0
    }
    pub fn member(&self, key: T, g: &Guard) -> Result<bool, Contended> {
        todo!()
    }
    pub fn lookup<'g>(&self, key: T, g: &'g Guard) -> Result<Objects<'g, T>, Contended> {
        todo!()
    }
    pub fn insert(&self, object: T, g: &Guard) -> Result<(), Contended> {
        todo!()
    }
    pub fn insert_new(&self, object: T, g: &Guard) -> Result<bool, Contended> {
        todo!()
    }
    pub fn delete(&self, key: T, g: &Guard) -> Result<(), Contended> {
        todo!()
    }
    pub fn delete_object(&self, object: T, g: &Guard) -> Result<(), Contended> {
        todo!()
    }
    pub fn take<'g>(&self, key: T, g: &'g Guard) -> Result<Objects<'g, T>, Contended> {
        todo!()
    }
    pub fn update<R, E>(
        &self,
        key: T,
        default: Option<T>,
        g: &Guard,
        change: impl FnOnce(T) -> Result<(SmallVec<[T; 8]>, R), E>,
    ) -> Result<Option<R>, UpdateError<E>> {
        todo!()
    }
    pub fn first<'g>(&self, g: &'g Guard) -> Result<Option<Objects<'g, T>>, Contended> {
        todo!()
    }
    pub fn last<'g>(&self, g: &'g Guard) -> Result<Option<Objects<'g, T>>, Contended> {
        todo!()
    }
    pub fn next<'g>(&self, key: T, g: &'g Guard) -> Result<Option<Objects<'g, T>>, StepError> {
        todo!()
    }
    pub fn prev<'g>(&self, key: T, g: &'g Guard) -> Result<Option<Objects<'g, T>>, StepError> {
        todo!()
    }
    pub fn scan<'g>(
        &self,
        from: Position<'g, T>,
        dir: Direction,
        max: usize,
        g: &'g Guard,
        out: &mut Vec<T>,
    ) -> Result<Option<Position<'g, T>>, Contended> {
        todo!()
    }
    pub fn clear(&self, g: &Guard) -> Discarded<T> {
        Discarded(PhantomData)
    }
}
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum BulkMode {
    Insert,
    InsertNew,
}
pub enum Progress {
    Pending,
    Done(bool),
}
pub struct Bulk<T>(PhantomData<fn() -> T>);
impl<T: Copy> Bulk<T> {
    pub fn new(mode: BulkMode) -> Self {
        Bulk(PhantomData)
    }
    pub fn push(&mut self, table: &Table<T>, object: T) {
        todo!()
    }
    pub fn step(&mut self, table: &Table<T>, budget: usize) -> Progress {
        todo!()
    }
    pub fn must_finish(&self) -> bool {
        false
    }
}
