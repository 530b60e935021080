//! Files that appear as a whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

/// What tells one file from another, whatever their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// That of the file with this name.
    pub fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(FileId {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

/// A file that is being made under another name, beside the one that it is going to have. Unless that comes
/// to be, it is gone when this is dropped.
pub(crate) struct Draft {
    path: PathBuf,
    draft: PathBuf,
}

impl Draft {
    /// Begins an empty file. None that is there is taken: what a crash has left may be full, or have another
    /// name, too.
    pub fn create(path: &Path) -> io::Result<(Self, File)> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let mut draft = OsString::from(path);
            draft.push(format!(".{}.{number}.new", std::process::id()));
            let mut options = File::options();
            match options.read(true).write(true).create_new(true).open(&draft) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                file => {
                    let draft = Draft {
                        path: path.into(),
                        draft: draft.into(),
                    };
                    return Ok((draft, file?));
                }
            }
        }
    }

    /// Gives the file its name, unless there is one of that name: [`ErrorKind::AlreadyExists`].
    pub fn publish(self) -> io::Result<()> {
        match fs::hard_link(&self.draft, &self.path) {
            // A file system without links.
            Err(error) if error.kind() != ErrorKind::AlreadyExists && !self.path.exists() => {
                fs::rename(&self.draft, &self.path)?;
            }
            linked => linked?,
        }
        sync_folder(&self.path)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.draft);
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

/// Copies a file that nobody changes to a place where there is none.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let mut from = File::open(from)?;
    let (draft, mut file) = Draft::create(to)?;
    io::copy(&mut from, &mut file)?;
    file.set_permissions(from.metadata()?.permissions())?;
    file.sync_all()?;
    draft.publish()
}

/// A file that is looked at as a database, and stays what it is: what is written there is kept in memory.
#[derive(Debug)]
pub(crate) struct Untouched {
    file: FileBackend,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    len: u64,
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Untouched {
    pub fn open(path: &Path) -> Result<Self, redb::DatabaseError> {
        let file = File::options().read(true).write(true).open(path)?;
        let len = file.metadata()?.len();
        Ok(Untouched {
            file: FileBackend::new(file)?,
            written: Mutex::new(Written {
                len,
                pieces: Vec::new(),
            }),
        })
    }

    fn written(&self) -> std::sync::MutexGuard<'_, Written> {
        self.written
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl StorageBackend for Untouched {
    fn len(&self) -> io::Result<u64> {
        Ok(self.written().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = self
            .file
            .len()?
            .saturating_sub(offset)
            .min(out.len() as u64) as usize;
        let (old, new) = out.split_at_mut(there);
        self.file.read(offset, old)?;
        new.fill(0);
        let end = offset + out.len() as u64;
        for (at, piece) in &self.written().pieces {
            let (from, to) = (offset.max(*at), end.min(at + piece.len() as u64));
            if from < to {
                let piece = &piece[(from - at) as usize..(to - at) as usize];
                out[(from - offset) as usize..(to - offset) as usize].copy_from_slice(piece);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.written().len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.written().pieces.push((offset, data.into()));
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}
