//! Stores on a disk that fails, is full, or loses what was not synced.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use blanket_store::{Change, Header, Kind, Objects, ObjectsBuilder, Record, Store};
use redb::StorageBackend;

const HEADER: Header = Header {
    kind: Kind::Set,
    keypos: 1,
    two_zeros: true,
};

/// What is written in one piece, or not.
const SECTOR: usize = 512;

#[derive(Debug, Default)]
struct State {
    now: Vec<u8>,
    synced: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
    /// Writes and syncs so far, and those that fail.
    operations: usize,
    failing: std::ops::Range<usize>,
}

#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<State>>);

impl Disk {
    fn fail(&self, failing: std::ops::Range<usize>) {
        self.0.lock().unwrap().failing = failing;
    }

    fn operations(&self) -> usize {
        self.0.lock().unwrap().operations
    }

    /// What is there after a power failure: what was synced, and of the rest what chance has left, or with
    /// the seed 0 all of it.
    fn after_crash(&self, seed: u64) -> Disk {
        let state = self.0.lock().unwrap();
        let mut random = seed | 1;
        let mut next = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % below as u64) as usize
        };
        let mut now = state.synced.clone();
        for (offset, data) in &state.pending {
            let written = match next(3) {
                _ if seed == 0 => data.len(),
                0 => 0,
                1 => data.len(),
                _ => (next(data.len() + 1) / SECTOR) * SECTOR,
            };
            if now.len() < offset + written {
                now.resize(offset + written, 0);
            }
            now[*offset..offset + written].copy_from_slice(&data[..written]);
        }
        // A file is never shorter than what was asked for before the last sync.
        Disk(Arc::new(Mutex::new(State {
            synced: now.clone(),
            now,
            ..State::default()
        })))
    }
}

impl State {
    fn operate(&mut self) -> io::Result<()> {
        self.operations += 1;
        match self.failing.contains(&self.operations) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock().unwrap();
        let bytes = state.now.get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.operate()?;
        state.now.resize(len as usize, 0);
        if state.synced.len() < len as usize {
            state.synced.resize(len as usize, 0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.operate()?;
        state.synced = state.now.clone();
        state.pending.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.operate()?;
        let offset = offset as usize;
        let end = offset + data.len();
        if state.now.len() < end {
            state.now.resize(end, 0);
        }
        state.now[offset..end].copy_from_slice(data);
        state.pending.push((offset, data.to_vec()));
        Ok(())
    }
}

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

fn content(store: &Store) -> Content {
    let mut content = Content::new();
    let mut loader = store.loader().unwrap();
    let read = |key: &[u8], objects: &[u8]| {
        assert_eq!(Objects(objects).count(), 1);
        content.insert(key.into(), objects.into());
        Ok(())
    };
    assert!(!loader.next(usize::MAX, read).unwrap());
    content
}

/// What a change makes of a store in the round of that number: some keys are written, some deleted.
fn change(round: usize) -> (bool, Vec<Record>) {
    let record = |number: usize| {
        let key = format!("key {:05}", (round * 37 + number * 11) % 200).into_bytes();
        let objects = (!number.is_multiple_of(3)).then(|| {
            let mut builder = ObjectsBuilder::default();
            builder.push(format!("value {round} {number} ").repeat(number).as_bytes());
            builder.finish()
        });
        (key, objects)
    };
    (round % 5 == 4, (0..40).map(record).collect())
}

fn apply(content: &mut Content, (clear, records): &(bool, Vec<Record>)) {
    if *clear {
        content.clear();
    }
    for (key, objects) in records {
        match objects {
            Some(objects) => content.insert(key.clone(), objects.clone()),
            None => content.remove(key),
        };
    }
}

const ROUNDS: usize = 8;

/// Writes until it fails; answers what the store had after each round that was acknowledged.
fn write_rounds(disk: &Disk) -> Vec<Content> {
    let on = disk.clone();
    let mut states = vec![Content::new()];
    let Ok(mut store) = Store::on(move || on.clone(), HEADER) else {
        return states;
    };
    for round in 0..ROUNDS {
        let change = change(round);
        let mut state = states[round].clone();
        let written = store.write(&Change {
            clear: change.0,
            records: &change.1,
        });
        if written.is_err() {
            break;
        }
        apply(&mut state, &change);
        states.push(state);
    }
    states
}

fn operations_of_all_rounds() -> usize {
    let disk = Disk::default();
    assert_eq!(write_rounds(&disk).len(), ROUNDS + 1);
    disk.operations()
}

#[test]
fn after_a_crash_at_any_moment_each_change_is_there_as_a_whole_or_not_at_all() {
    let operations = operations_of_all_rounds();
    for at in 1..operations {
        let disk = Disk::default();
        disk.fail(at..usize::MAX);
        let states = write_rounds(&disk);
        for seed in 0..4 {
            let left =
                disk.after_crash(((at * 10 + seed) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let Ok(store) = Store::on(move || left.clone(), HEADER) else {
                // It never came to be.
                assert_eq!(states.len(), 1);
                continue;
            };
            let found = content(&store);
            let acknowledged = states.len() - 1;
            if found == states[acknowledged] {
                continue;
            }
            let mut next = states[acknowledged].clone();
            apply(&mut next, &change(acknowledged));
            assert!(
                found == next,
                "crash at {at} with {seed}: something half-done"
            );
        }
    }
}

#[test]
fn after_an_error_of_any_operation_the_change_is_made_by_the_next_call() {
    let operations = operations_of_all_rounds();
    for at in 1..operations {
        let disk = Disk::default();
        disk.fail(at..at + 3);
        let on = disk.clone();
        let Ok(mut store) = Store::on(move || on.clone(), HEADER) else {
            continue;
        };
        let mut expected = Content::new();
        for round in 0..ROUNDS {
            let change = change(round);
            let write = Change {
                clear: change.0,
                records: &change.1,
            };
            // The disk is in order again after a few operations.
            assert!(
                (0..10).any(|_| store.write(&write).is_ok()),
                "error at {at}"
            );
            apply(&mut expected, &change);
        }
        assert_eq!(content(&store), expected, "error at {at}");
    }
}
