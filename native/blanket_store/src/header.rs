//! What a store says of its table.

use redb::{ReadableTable, TableDefinition};

use crate::error::Error;
use crate::external::Equality;

/// The version of the format of what is in the database.
pub const FORMAT: u32 = 1;

pub(crate) const HEADER: TableDefinition<'_, &str, u64> = TableDefinition::new("blanket");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Set,
    OrderedSet,
    Bag,
    DuplicateBag,
}

const KINDS: [Kind; 4] = [Kind::Set, Kind::OrderedSet, Kind::Bag, Kind::DuplicateBag];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub keypos: usize,
    /// Whether the VM that wrote it takes 0.0 and -0.0 for two keys.
    pub two_zeros: bool,
}

impl Header {
    pub fn equality(&self) -> Equality {
        match self.kind {
            Kind::OrderedSet => Equality::Compares,
            _ if self.two_zeros => Equality::Matches,
            _ => Equality::MatchesOneZero,
        }
    }

    pub(crate) fn write(&self, table: &mut redb::Table<'_, &str, u64>) -> Result<(), Error> {
        let fields = [
            ("format", u64::from(FORMAT)),
            ("kind", self.kind as u64),
            ("keypos", self.keypos as u64),
            ("two_zeros", u64::from(self.two_zeros)),
        ];
        for (name, value) in fields {
            table.insert(name, value)?;
        }
        Ok(())
    }

    pub(crate) fn read(table: &impl ReadableTable<&'static str, u64>) -> Result<Self, Error> {
        let field = |name| -> Result<Option<u64>, Error> {
            Ok(table.get(name)?.map(|value| value.value()))
        };
        match field("format")? {
            None => return Err(Error::NotAStore),
            Some(format) if format != u64::from(FORMAT) => {
                return Err(Error::Format(format.try_into().unwrap_or(u32::MAX)));
            }
            Some(_) => {}
        }
        let damaged = || Error::Damaged("its header".into());
        let number = |name| field(name)?.ok_or_else(damaged);
        let kind = KINDS.get(number("kind")? as usize).ok_or_else(damaged)?;
        Ok(Header {
            kind: *kind,
            keypos: number("keypos")? as usize,
            two_zeros: number("two_zeros")? != 0,
        })
    }
}
