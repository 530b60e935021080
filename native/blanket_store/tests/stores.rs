//! Stores in files.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use blanket_store::{
    Change, Equality, Error, FORMAT, Header, Kind, Malformed, NewStore, ObjectsBuilder, Record,
    Store, canonical_key, key_in,
};
use redb::{Database, TableDefinition};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("blanket-store-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const HEADER: Header = Header {
    kind: Kind::Set,
    keypos: 1,
    two_zeros: true,
};

/// `{number}` in the external term format, under its key.
fn record(number: u8) -> Record {
    let mut builder = ObjectsBuilder::default();
    builder.push(&[131, 104, 1, 97, number]);
    (vec![97, number], Some(builder.finish()))
}

fn write(store: &mut Store, records: &[Record]) {
    let change = Change {
        clear: false,
        records,
    };
    store.write(&change).unwrap();
}

#[test]
fn a_store_is_open_once_and_that_of_one_table() {
    let folder = Folder::new();
    let path = folder.file("table");
    let mut store = Store::open(&path, HEADER).unwrap();
    write(&mut store, &[record(1), record(2)]);
    assert!(matches!(
        Store::open(&path, HEADER),
        Err(Error::AlreadyOpen)
    ));
    drop(store);
    let other = Header {
        keypos: 2,
        ..HEADER
    };
    assert!(matches!(
        Store::open(&path, other),
        Err(Error::Other(HEADER))
    ));
    let summary = Store::verify(&path).unwrap();
    assert_eq!((summary.keys, summary.objects), (2, 2));
    // Nothing else is left in the folder.
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn a_store_of_another_format_is_not_opened() {
    let folder = Folder::new();
    let path = folder.file("table");
    drop(Store::open(&path, HEADER).unwrap());
    const TABLE: TableDefinition<'_, &str, u64> = TableDefinition::new("blanket");
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let later = u64::from(FORMAT) + 1;
    transaction
        .open_table(TABLE)
        .unwrap()
        .insert("format", later)
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(
        matches!(Store::open(&path, HEADER), Err(Error::Format(format)) if format == FORMAT + 1)
    );
    assert!(matches!(Store::verify(&path), Err(Error::Format(_))));
}

#[test]
fn a_database_that_is_no_store_is_not_opened() {
    let folder = Folder::new();
    let path = folder.file("other");
    drop(Database::create(&path).unwrap());
    assert!(matches!(Store::open(&path, HEADER), Err(Error::NotAStore)));
    fs::write(&path, "a text ".repeat(1_000)).unwrap();
    assert!(matches!(Store::open(&path, HEADER), Err(Error::NotAStore)));
}

#[test]
fn a_new_store_is_there_when_it_is_published_and_replaces_none() {
    let folder = Folder::new();
    let path = folder.file("new");
    let mut new = NewStore::create(&path, HEADER).unwrap();
    new.put(&[record(1)]).unwrap();
    assert!(!path.exists());
    drop(new);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
    let mut new = NewStore::create(&path, HEADER).unwrap();
    new.put(&[record(1)]).unwrap();
    drop(new.publish().unwrap());
    assert_eq!(Store::verify(&path).unwrap().objects, 1);
    let another = NewStore::create(&path, HEADER).unwrap().publish();
    assert!(
        matches!(another, Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::AlreadyExists)
    );
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn a_store_that_was_moved_is_not_written() {
    let folder = Folder::new();
    let (path, moved) = (folder.file("table"), folder.file("moved"));
    let mut store = Store::open(&path, HEADER).unwrap();
    fs::rename(&path, &moved).unwrap();
    let change = Change {
        clear: false,
        records: &[record(1)],
    };
    assert!(matches!(store.write(&change), Err(Error::Gone)));
    fs::rename(&moved, &path).unwrap();
    store.write(&change).unwrap();
    drop(store);
    assert_eq!(Store::verify(&path).unwrap().objects, 1);
}

#[test]
fn objects_that_are_not_their_keys_are_found() {
    let folder = Folder::new();
    let path = folder.file("table");
    let mut store = Store::open(&path, HEADER).unwrap();
    write(&mut store, &[(vec![97, 3], record(4).1)]);
    drop(store);
    assert!(matches!(Store::verify(&path), Err(Error::Damaged(_))));
}

fn canonical(bytes: &[u8], equality: Equality) -> Vec<u8> {
    let mut key = vec![131];
    key.extend_from_slice(bytes);
    canonical_key(&key, equality).unwrap()
}

fn float(float: f64) -> Vec<u8> {
    [&[70][..], &float.to_be_bytes()].concat()
}

fn big(sign: u8, bytes: &[u8]) -> Vec<u8> {
    [&[110, bytes.len() as u8, sign][..], bytes].concat()
}

#[test]
fn numbers_that_compare_equal_are_one_key_where_keys_are_compared() {
    let pairs = [
        (vec![97, 7], float(7.0)),
        (vec![98, 0, 0, 1, 0], float(256.0)),
        (vec![98, 255, 255, 255, 255], float(-1.0)),
        (vec![97, 0], float(-0.0)),
        (big(0, &[0, 0, 0, 128]), float(2_147_483_648.0)),
        (big(1, &[1, 0, 0, 128]), float(-2_147_483_649.0)),
        (big(0, &[0, 0, 0, 0, 0, 0, 0, 0, 64]), float(2f64.powi(70))),
        (
            [&[104, 2][..], &[97, 1], &[106]].concat(),
            [&[104, 2][..], &float(1.0), &[106]].concat(),
        ),
        (
            vec![107, 0, 2, 1, 2],
            [&[108, 0, 0, 0, 2][..], &float(1.0), &float(2.0), &[106]].concat(),
        ),
    ];
    for (integer, float) in &pairs {
        let compared = [integer, float].map(|key| canonical(key, Equality::Compares));
        assert_eq!(compared[0], compared[1], "{integer:?}");
        let matched = [integer, float].map(|key| canonical(key, Equality::Matches));
        assert_ne!(matched[0], matched[1], "{integer:?}");
    }
    let halves = [float(1.5), float(2.5)].map(|key| canonical(&key, Equality::Compares));
    assert_ne!(halves[0], halves[1]);
}

#[test]
fn zeros_are_one_key_or_two() {
    let zeros = [float(0.0), float(-0.0)];
    let keys = |equality| zeros.clone().map(|zero| canonical(&zero, equality));
    let [one, two] = keys(Equality::Matches);
    assert_ne!(one, two);
    for equality in [Equality::MatchesOneZero, Equality::Compares] {
        let [one, two] = keys(equality);
        assert_eq!(one, two);
    }
}

#[test]
fn the_order_of_a_map_and_the_encoding_of_an_atom_do_not_matter() {
    let (a, b) = ([119, 1, b'a'], [100, 0, 1, b'b']);
    let head: &[u8] = &[116, 0, 0, 0, 2];
    let one = [head, &a, &[97, 1], &b, &[97, 2]].concat();
    let two = [
        head,
        &[118, 0, 1, b'b'],
        &[97, 2],
        &[115, 1, b'a'],
        &[97, 1],
    ]
    .concat();
    for equality in [Equality::Matches, Equality::Compares] {
        assert_eq!(canonical(&one, equality), canonical(&two, equality));
    }
    assert_eq!(
        canonical(&[100, 0, 1, 0xE4], Equality::Matches),
        [119, 2, 0xC3, 0xA4]
    );
}

#[test]
fn a_key_may_be_as_deep_as_memory_allows() {
    const DEPTH: usize = 200_000;
    let tuple = [&[104, 1].repeat(DEPTH)[..], &[106]].concat();
    let list = [
        &[108, 0, 0, 0, 1].repeat(DEPTH)[..],
        &[106],
        &[106].repeat(DEPTH),
    ]
    .concat();
    for key in [&tuple, &list] {
        assert_eq!(canonical(key, Equality::Compares), *key);
    }
    // A map of a map, and so on, whose keys come in either order.
    let nested = |keys: [u8; 2]| {
        (0..1_000).fold(vec![106], |term, _| {
            let pair = |key| [&[97, key][..], if key == 0 { &term } else { &[106] }].concat();
            [&[116, 0, 0, 0, 2][..], &pair(keys[0]), &pair(keys[1])].concat()
        })
    };
    let sorted = nested([0, 1]);
    assert_eq!(canonical(&nested([1, 0]), Equality::Matches), sorted);
    // What says it is a process by a process by a process has no atom, and is no term.
    let pid = [&[131][..], &[88].repeat(DEPTH)].concat();
    assert_eq!(canonical_key(&pid, Equality::Matches), Err(Malformed));
}

#[test]
fn what_a_crash_has_left_of_a_file_does_not_become_part_of_another() {
    let folder = Folder::new();
    let [old, path, copy] = ["old", "table", "copy"].map(|name| folder.file(name));
    write(&mut Store::open(&old, HEADER).unwrap(), &[record(1)]);
    let left: Vec<_> = (0..100)
        .flat_map(|number| {
            [&path, &copy].map(|path| {
                let name = format!("{}.{}.{number}.new", path.display(), std::process::id());
                fs::copy(&old, &name).unwrap();
                name
            })
        })
        .collect();
    let mut store = NewStore::create(&path, HEADER).unwrap();
    store.put(&[record(2)]).unwrap();
    drop(store.publish().unwrap());
    Store::copy(&path, &copy).unwrap();
    for path in [&path, &copy] {
        assert_eq!(Store::verify(path).unwrap().keys, 1);
    }
    for name in left {
        assert_eq!(fs::read(name).unwrap(), fs::read(&old).unwrap());
    }
}

#[test]
fn the_key_in_an_object_is_the_key_alone() {
    let key = [&[109, 0, 0, 0, 3][..], b"key"].concat();
    for keypos in 1..=3 {
        let mut object = vec![131, 104, 3];
        for position in 1..=3 {
            match position == keypos {
                true => object.extend_from_slice(&key),
                false => object.extend([108, 0, 0, 0, 1, 104, 1, 97, 5, 106]),
            }
        }
        let found = key_in(&object, keypos, Equality::Matches);
        assert_eq!(found.unwrap(), canonical(&key, Equality::Matches));
        assert!(key_in(&object, 4, Equality::Matches).is_err());
    }
}

#[test]
fn whatever_is_cut_off_is_malformed() {
    let whole = [
        &[131, 104, 2, 109, 0, 0, 0, 3][..],
        b"key",
        &[116, 0, 0, 0, 1, 97, 1, 106],
    ]
    .concat();
    assert!(key_in(&whole, 1, Equality::Matches).is_ok());
    for end in 0..whole.len() {
        assert!(key_in(&whole[..end], 1, Equality::Matches).is_err());
        assert!(canonical_key(&whole[..end], Equality::Matches).is_err());
    }
    assert!(key_in(&[&whole[..], &[0]].concat(), 1, Equality::Matches).is_err());
}
