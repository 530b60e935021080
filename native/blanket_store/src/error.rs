//! Why a store could not be opened, read or written.

use std::fmt;
use std::io;

use crate::header::Header;

#[derive(Debug)]
pub enum Error {
    /// The operating system says so.
    Io(io::Error),
    /// Somebody has it open: another table, or another process.
    AlreadyOpen,
    /// There is a file, which is no store.
    NotAStore,
    /// It was written by a Blanket that had another format.
    Format(u32),
    /// It was written by a redb that had another format.
    Upgrade,
    /// It is the store of another table.
    Other(Header),
    /// What is in it is not what was written there.
    Damaged(String),
    /// The file is no longer where it was opened.
    Gone,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(error) => error.fmt(f),
            Error::AlreadyOpen => f.write_str("it is open already"),
            Error::NotAStore => f.write_str("it is no durable table's file"),
            Error::Format(format) => write!(f, "its format is {format}"),
            Error::Upgrade => f.write_str("it has a format that is no longer read"),
            Error::Other(header) => write!(f, "it is another table's: {header:?}"),
            Error::Damaged(what) => write!(f, "it is damaged: {what}"),
            Error::Gone => f.write_str("it was moved or deleted"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Io(error)
    }
}

impl From<redb::StorageError> for Error {
    fn from(error: redb::StorageError) -> Self {
        use redb::StorageError::{Corrupted, Io};
        match error {
            Io(error) => Error::Io(error),
            Corrupted(what) => Error::Damaged(what),
            other => Error::Io(io::Error::other(other)),
        }
    }
}

impl From<redb::DatabaseError> for Error {
    fn from(error: redb::DatabaseError) -> Self {
        use redb::DatabaseError::{DatabaseAlreadyOpen, Storage, UpgradeRequired};
        match error {
            DatabaseAlreadyOpen => Error::AlreadyOpen,
            UpgradeRequired(_) => Error::Upgrade,
            // What does not begin as a database does.
            Storage(redb::StorageError::Io(error))
                if error.kind() == io::ErrorKind::InvalidData =>
            {
                Error::NotAStore
            }
            Storage(error) => error.into(),
            other => Error::Io(io::Error::other(other)),
        }
    }
}

impl From<redb::TransactionError> for Error {
    fn from(error: redb::TransactionError) -> Self {
        match error {
            redb::TransactionError::Storage(error) => error.into(),
            other => Error::Io(io::Error::other(other)),
        }
    }
}

impl From<redb::TableError> for Error {
    fn from(error: redb::TableError) -> Self {
        match error {
            redb::TableError::Storage(error) => error.into(),
            _ => Error::NotAStore,
        }
    }
}

impl From<redb::CommitError> for Error {
    fn from(error: redb::CommitError) -> Self {
        match error {
            redb::CommitError::Storage(error) => error.into(),
            other => Error::Io(io::Error::other(other)),
        }
    }
}
