//! What is to come of each operation, as a table of rules: each takes place at one instant, and an
//! exit has passed the tables of the process on before anybody looks.

use super::vm::{PROCESSES, Process};

pub const TABLES: usize = 2;

/// Which table, which name.
pub type Table = usize;
pub type Name = usize;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// Creates a table with a name.
    New(Table, Name),
    Rename(Table, Name),
    Delete(Table),
    GiveAway(Table, Process),
    SetHeir(Table, Heir),
    /// Keeps the table: all as the same, so that two cannot be kept at once.
    Keep(Table),
    Unkeep(Table),
    Orphan(Table),
    Claim(Table, Process),
    WhereIs(Name),
    /// The end of the process.
    Exit,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Heir {
    None,
    Immortal,
    Process(Process),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    Ok,
    BadArg,
    NotOwner,
    NotKept,
    AlreadyKept,
    AlreadyOwned,
    NoProcess,
    Found(Option<Table>),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    NotYet,
    There(State),
    Gone,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct State {
    pub owner: Option<Process>,
    pub heir: Heir,
    pub kept: bool,
    pub name: Name,
}

/// The new owner that is told, the name of the table that it gets, and from whom.
pub type Transfer = (Process, Name, Process);

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Everything {
    pub alive: [bool; PROCESSES],
    pub tables: [Place; TABLES],
}

impl Everything {
    pub fn new() -> Self {
        Everything {
            alive: [true; PROCESSES],
            tables: [Place::NotYet; TABLES],
        }
    }

    pub fn named(&self, name: Name) -> Option<Table> {
        (0..TABLES).find(|&table| self.there(table).is_some_and(|state| state.name == name))
    }

    pub fn there(&self, table: Table) -> Option<State> {
        match self.tables[table] {
            Place::There(state) => Some(state),
            Place::NotYet | Place::Gone => None,
        }
    }

    /// What `process` gets for `op`, and what comes of that.
    pub fn apply(&mut self, process: Process, op: Op, transfers: &mut Vec<Transfer>) -> Answer {
        match self.change(process, op, transfers) {
            Ok(answer) | Err(answer) => answer,
        }
    }

    fn change(
        &mut self,
        process: Process,
        op: Op,
        transfers: &mut Vec<Transfer>,
    ) -> Result<Answer, Answer> {
        use Answer::*;
        let alive = self.alive;
        let refuse = |refused, answer| if refused { Err(answer) } else { Result::Ok(()) };
        let (table, mut state) = match op {
            Op::Exit => {
                self.exit(process, transfers);
                return Result::Ok(Ok);
            }
            Op::WhereIs(name) => return Result::Ok(Found(self.named(name))),
            Op::New(table, name) => {
                refuse(self.named(name).is_some(), BadArg)?;
                let state = State {
                    owner: Some(process),
                    heir: Heir::None,
                    kept: false,
                    name,
                };
                self.tables[table] = Place::There(state);
                return Result::Ok(Ok);
            }
            Op::Rename(table, _)
            | Op::Delete(table)
            | Op::GiveAway(table, _)
            | Op::SetHeir(table, _)
            | Op::Keep(table)
            | Op::Unkeep(table)
            | Op::Orphan(table)
            | Op::Claim(table, _) => (table, self.there(table).ok_or(BadArg)?),
        };
        let is_owner = state.owner == Some(process);
        match op {
            Op::Rename(_, name) => {
                refuse(!is_owner || self.named(name).is_some(), BadArg)?;
                state.name = name;
            }
            Op::Delete(_) => {
                refuse(!is_owner, BadArg)?;
                self.tables[table] = Place::Gone;
                return Result::Ok(Ok);
            }
            Op::GiveAway(_, to) => {
                refuse(!is_owner || to == process || !alive[to], BadArg)?;
                state.owner = Some(to);
                transfers.push((to, state.name, process));
            }
            Op::SetHeir(_, heir) => {
                refuse(!is_owner, BadArg)?;
                state.heir = match heir {
                    Heir::Process(heir) if !alive[heir] => Heir::None,
                    heir => heir,
                };
            }
            Op::Keep(_) => {
                refuse(!is_owner, NotOwner)?;
                let taken = (0..TABLES).any(|it| self.there(it).is_some_and(|it| it.kept));
                refuse(taken, AlreadyKept)?;
                state.kept = true;
                state.heir = Heir::None;
            }
            Op::Unkeep(_) => {
                refuse(state.owner.is_some() && !is_owner, NotOwner)?;
                refuse(!state.kept, NotKept)?;
                state.kept = false;
                if state.owner.is_none() {
                    self.tables[table] = Place::Gone;
                    return Result::Ok(Ok);
                }
            }
            Op::Orphan(_) => {
                refuse(!is_owner, NotOwner)?;
                refuse(!state.kept, NotKept)?;
                state.owner = None;
            }
            Op::Claim(_, by) => {
                refuse(state.owner.is_some(), AlreadyOwned)?;
                refuse(!alive[by], NoProcess)?;
                state.owner = Some(by);
            }
            Op::New(..) | Op::WhereIs(_) | Op::Exit => unreachable!("dealt with above"),
        }
        self.tables[table] = Place::There(state);
        Result::Ok(Ok)
    }

    /// Each table of the process goes to its heir, or to nobody, or ends.
    fn exit(&mut self, process: Process, transfers: &mut Vec<Transfer>) {
        self.alive[process] = false;
        for place in &mut self.tables {
            let Place::There(state) = place else { continue };
            if state.owner != Some(process) {
                continue;
            }
            match state.heir {
                Heir::Process(heir) if self.alive[heir] => {
                    state.owner = Some(heir);
                    transfers.push((heir, state.name, process));
                }
                Heir::Immortal => state.owner = None,
                _ if state.kept => state.owner = None,
                _ => *place = Place::Gone,
            }
        }
    }
}
