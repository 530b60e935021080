//! The naive twin of a table: the objects of each key in a standard map.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Unbounded};

use blanket_core::Kind;

use super::value::{Value, compare};

#[derive(Clone)]
pub struct Model {
    kind: Kind,
    keypos: usize,
    objects: Objects,
    len: usize,
}

/// The objects of each key in the order of their insertion; never an empty vector.
#[derive(Clone)]
enum Objects {
    Matched(HashMap<Value, Vec<Value>>),
    Ordered(BTreeMap<Ordered, Vec<Value>>),
}

/// A value that equals what it compares equal to.
#[derive(Clone)]
struct Ordered(Value);

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

impl Model {
    pub fn new(kind: Kind, keypos: usize) -> Self {
        let objects = match kind {
            Kind::OrderedSet => Objects::Ordered(BTreeMap::new()),
            _ => Objects::Matched(HashMap::new()),
        };
        Model {
            kind,
            keypos,
            objects,
            len: 0,
        }
    }

    pub fn key_of(&self, object: &Value) -> Value {
        object.elements()[self.keypos - 1].clone()
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn lookup(&self, key: &Value) -> &[Value] {
        let found = match &self.objects {
            Objects::Matched(map) => map.get(key),
            Objects::Ordered(map) => map.get(&Ordered(key.clone())),
        };
        found.map_or(&[], Vec::as_slice)
    }

    pub fn insert(&mut self, object: &Value) {
        let key = self.key_of(object);
        let there = match &mut self.objects {
            Objects::Matched(map) => map.entry(key).or_default(),
            Objects::Ordered(map) => map.entry(Ordered(key)).or_default(),
        };
        let before = there.len();
        match self.kind {
            Kind::Set | Kind::OrderedSet => {
                there.clear();
                there.push(object.clone());
            }
            Kind::Bag if there.contains(object) => {}
            Kind::Bag | Kind::DuplicateBag => there.push(object.clone()),
        }
        self.len += there.len() - before;
    }

    pub fn insert_new(&mut self, objects: &[Value]) -> bool {
        let is_new = |object| self.lookup(&self.key_of(object)).is_empty();
        let all_new = objects.iter().all(is_new);
        if all_new {
            objects.iter().for_each(|object| self.insert(object));
        }
        all_new
    }

    pub fn take(&mut self, key: &Value) -> Vec<Value> {
        let taken = match &mut self.objects {
            Objects::Matched(map) => map.remove(key),
            Objects::Ordered(map) => map.remove(&Ordered(key.clone())),
        };
        let taken = taken.unwrap_or_default();
        self.len -= taken.len();
        taken
    }

    pub fn delete_object(&mut self, object: &Value) {
        let left = self.take(&self.key_of(object));
        for other in left.iter().filter(|&other| other != object) {
            self.insert(other);
        }
    }

    pub fn clear(&mut self) {
        self.len = 0;
        match &mut self.objects {
            Objects::Matched(map) => map.clear(),
            Objects::Ordered(map) => map.clear(),
        }
    }

    /// The objects of every key; in term order if the table is ordered.
    pub fn keys(&self) -> Vec<&[Value]> {
        match &self.objects {
            Objects::Matched(map) => map.values().map(Vec::as_slice).collect(),
            Objects::Ordered(map) => map.values().map(Vec::as_slice).collect(),
        }
    }

    pub fn is_ordered(&self) -> bool {
        matches!(self.kind, Kind::OrderedSet)
    }

    /// The objects of the key after `key`, in an ordered table.
    pub fn next(&self, key: &Value) -> &[Value] {
        let mut later = self
            .ordered()
            .range((Excluded(Ordered(key.clone())), Unbounded));
        later.next().map_or(&[], |(_, objects)| objects)
    }

    /// The objects of the key before `key`, in an ordered table.
    pub fn prev(&self, key: &Value) -> &[Value] {
        let mut earlier = self.ordered().range(..Ordered(key.clone()));
        earlier.next_back().map_or(&[], |(_, objects)| objects)
    }

    pub fn first(&self) -> &[Value] {
        let first = self.ordered().first_key_value();
        first.map_or(&[], |(_, objects)| objects)
    }

    pub fn last(&self) -> &[Value] {
        let last = self.ordered().last_key_value();
        last.map_or(&[], |(_, objects)| objects)
    }

    fn ordered(&self) -> &BTreeMap<Ordered, Vec<Value>> {
        match &self.objects {
            Objects::Ordered(map) => map,
            Objects::Matched(_) => panic!("the keys have no order"),
        }
    }
}
