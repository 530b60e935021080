//! Stores: opening, reading, writing.

use std::io::ErrorKind;
use std::ops::Bound::{Excluded, Unbounded};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, ReadableTableMetadata, StorageBackend,
    TableDefinition,
};

use crate::error::Error;
use crate::external::key_in;
use crate::file::{self, Draft, FileId, Untouched};
use crate::header::{HEADER, Header, Kind};
use crate::objects::Objects;

const OBJECTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("objects");

/// Bytes of pages that are kept in memory.
const CACHE: usize = 32 << 20;

/// A key's canonical bytes, and its objects, or `None` where it has none.
pub type Record = (Vec<u8>, Option<Vec<u8>>);

/// What becomes of keys.
pub struct Change<'a> {
    /// All objects go first.
    pub clear: bool,
    pub records: &'a [Record],
}

/// An open store. Nobody else can open it meanwhile.
pub struct Store {
    /// None after an error, until it is opened again.
    database: Option<Database>,
    reopen: Box<dyn Fn() -> Result<Database, Error> + Send>,
    header: Header,
    place: Option<(PathBuf, FileId)>,
}

impl Store {
    /// Opens the store of a table, or makes a new one where there is no file.
    pub fn open(path: &Path, header: Header) -> Result<Self, Error> {
        let store = loop {
            match Self::open_existing(path) {
                Err(Error::Io(error)) if error.kind() == ErrorKind::NotFound => {}
                opened => break opened?,
            }
            match NewStore::create(path, header)?.publish() {
                // Somebody else was faster.
                Err(Error::Io(error)) if error.kind() == ErrorKind::AlreadyExists => {}
                published => break published?,
            }
        };
        let found = store.header;
        if (found.kind, found.keypos) != (header.kind, header.keypos) {
            return Err(Error::Other(found));
        }
        Ok(store)
    }

    /// Opens a store that is there, whatever its table.
    pub fn open_existing(path: &Path) -> Result<Self, Error> {
        check(path)?;
        let owned = path.to_owned();
        let reopen = Box::new(move || guarded(|| Ok(builder().open(&owned)?)));
        let database = reopen()?;
        let header = read_header(&database)?;
        Ok(Store {
            database: Some(database),
            reopen,
            header,
            place: Some((path.into(), FileId::of(path)?)),
        })
    }

    /// A store that is kept in what `backend` answers, be it for the first time or not.
    pub fn on<B: StorageBackend>(
        backend: impl Fn() -> B + Send + 'static,
        header: Header,
    ) -> Result<Self, Error> {
        let reopen = Box::new(move || guarded(|| Ok(builder().create_with_backend(backend())?)));
        let database = reopen()?;
        let header = match read_header(&database) {
            Err(Error::NotAStore) => {
                initialise(&database, header)?;
                header
            }
            found => found?,
        };
        Ok(Store {
            database: Some(database),
            reopen,
            header,
            place: None,
        })
    }

    pub fn header(&self) -> Header {
        self.header
    }

    /// Which file it is.
    pub fn id(&self) -> Option<FileId> {
        self.place.as_ref().map(|(_, id)| *id)
    }

    /// Makes changes, all or none of them. When this answers, they are on disk. After an error the store has
    /// what it had before, or what it was to have, and is opened again by the next call.
    pub fn write(&mut self, change: &Change<'_>) -> Result<(), Error> {
        if let Some((path, id)) = &self.place
            && FileId::of(path).ok() != Some(*id)
        {
            return Err(Error::Gone);
        }
        let database = match self.database.take() {
            Some(database) => database,
            None => (self.reopen)()?,
        };
        guarded(|| write(&database, change))?;
        self.database = Some(database);
        Ok(())
    }

    /// As [`Store::write`] with [`Change::clear`], by a VM of which that is said about zeros.
    pub fn rewrite(&mut self, two_zeros: bool, change: &Change<'_>) -> Result<(), Error> {
        self.write(change)?;
        if self.header.two_zeros != two_zeros
            && let Some(database) = &self.database
        {
            let header = Header {
                two_zeros,
                ..self.header
            };
            guarded(|| initialise(database, header))?;
            self.header = header;
        }
        Ok(())
    }

    /// Reads all that is there now.
    pub fn loader(&self) -> Result<Loader, Error> {
        let database = self.database.as_ref().ok_or(Error::Gone)?;
        guarded(|| {
            let transaction = database.begin_read()?;
            let keys = transaction.open_table(OBJECTS)?.len()?;
            Ok(Loader {
                transaction,
                keys,
                after: None,
            })
        })
    }

    /// Looks at all of a store that nobody has open.
    pub fn verify(path: &Path) -> Result<Summary, Error> {
        Self::open_existing(path)?.look_at_all()
    }

    /// Copies a store that nobody has open to a place where there is none, after a look at all of it.
    pub fn copy(from: &Path, to: &Path) -> Result<(), Error> {
        // As long as it is open here, nobody changes it.
        let store = Self::open_existing(from)?;
        store.look_at_all()?;
        Ok(file::copy(from, to)?)
    }

    fn look_at_all(&self) -> Result<Summary, Error> {
        let header = self.header;
        let mut summary = Summary {
            header,
            keys: 0,
            objects: 0,
        };
        let mut loader = self.loader()?;
        let damaged = |what: &str| Error::Damaged(what.into());
        while loader.next(PORTION, |key, objects| {
            summary.keys += 1;
            let mut of_key = 0;
            for object in Objects(objects) {
                let object = object.map_err(|()| damaged("the objects of a key"))?;
                of_key += 1;
                match key_in(object, header.keypos, header.equality()) {
                    Ok(found) if found == key => {}
                    // A kind of term that is not known here.
                    Err(_) if key.first() == object.first() => {}
                    _ => return Err(damaged("an object that is not its key's")),
                }
            }
            let is_one = matches!(header.kind, Kind::Set | Kind::OrderedSet);
            if of_key == 0 || is_one && of_key > 1 {
                return Err(damaged("the number of a key's objects"));
            }
            summary.objects += of_key;
            Ok(())
        })? {}
        Ok(summary)
    }
}

/// What was found in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    pub header: Header,
    pub keys: u64,
    pub objects: u64,
}

/// Bytes that are read in one go.
const PORTION: usize = 1 << 20;

/// Reads a store as it was at one instant.
pub struct Loader {
    transaction: ReadTransaction,
    keys: u64,
    after: Option<Vec<u8>>,
}

impl Loader {
    /// The keys that there are.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// Calls `each` with the next keys and their objects, about as many bytes as that; answers whether there
    /// may be more.
    pub fn next(
        &mut self,
        bytes: usize,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        guarded(|| {
            let table = self.transaction.open_table(OBJECTS)?;
            let from = self.after.as_deref().map_or(Unbounded, Excluded);
            let mut seen = 0;
            for record in table.range::<&[u8]>((from, Unbounded))? {
                let (key, objects) = record?;
                let (key, objects) = (key.value(), objects.value());
                each(key, objects)?;
                seen += key.len() + objects.len();
                if seen >= bytes {
                    self.after = Some(key.into());
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }
}

/// A store that is being made, under another name.
pub struct NewStore {
    database: Database,
    header: Header,
    path: PathBuf,
    draft: Draft,
}

impl NewStore {
    pub fn create(path: &Path, header: Header) -> Result<Self, Error> {
        let (draft, file) = Draft::create(path)?;
        let database = guarded(|| {
            let database = builder().create_with_backend(FileBackend::new(file)?)?;
            initialise(&database, header)?;
            Ok(database)
        })?;
        Ok(NewStore {
            database,
            header,
            path: path.into(),
            draft,
        })
    }

    /// Puts objects there.
    pub fn put(&mut self, records: &[Record]) -> Result<(), Error> {
        let change = Change {
            clear: false,
            records,
        };
        guarded(|| write(&self.database, &change))
    }

    /// Gives it its name, unless a file has that.
    pub fn publish(self) -> Result<Store, Error> {
        self.draft.publish()?;
        let owned = self.path.clone();
        Ok(Store {
            database: Some(self.database),
            reopen: Box::new(move || guarded(|| Ok(builder().open(&owned)?))),
            header: self.header,
            place: Some((self.path.clone(), FileId::of(&self.path)?)),
        })
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

/// Sees whether a file is what was written there.
///
/// The database takes what it does not find whole for the transaction that a crash has come between, and
/// goes back to the one before. So it would where nothing has crashed and a file was altered: that is found
/// out first, and the file left as it is.
fn check(path: &Path) -> Result<(), Error> {
    guarded(|| match builder().open_read_only(path) {
        Err(redb::DatabaseError::RepairAborted) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(closed_well) => {
            closed_well.close()?;
            let mut database = builder().create_with_backend(Untouched::open(path)?)?;
            match database.check_integrity()? {
                true => Ok(()),
                false => Err(Error::Damaged("its checksums".into())),
            }
        }
    })
}

fn initialise(database: &Database, header: Header) -> Result<(), Error> {
    let transaction = database.begin_write()?;
    header.write(&mut transaction.open_table(HEADER)?)?;
    transaction.open_table(OBJECTS)?;
    Ok(transaction.commit()?)
}

fn read_header(database: &Database) -> Result<Header, Error> {
    guarded(|| Header::read(&database.begin_read()?.open_table(HEADER)?))
}

fn write(database: &Database, change: &Change<'_>) -> Result<(), Error> {
    let transaction = database.begin_write()?;
    if change.clear {
        transaction.delete_table(OBJECTS)?;
    }
    {
        let mut table = transaction.open_table(OBJECTS)?;
        for (key, objects) in change.records {
            match objects {
                Some(objects) => table.insert(&key[..], &objects[..])?,
                None => table.remove(&key[..])?,
            };
        }
    }
    Ok(transaction.commit()?)
}

/// A file that was altered may have the database panic.
fn guarded<R>(work: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::Damaged("the database gave up on it".into())))
}
