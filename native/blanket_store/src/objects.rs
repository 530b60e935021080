//! The objects of one key, as a store has them: each its length and its bytes, in their order.

const LENGTH: usize = size_of::<u64>();

/// Puts objects behind one another.
#[derive(Default)]
pub struct ObjectsBuilder(Vec<u8>);

impl ObjectsBuilder {
    pub fn push(&mut self, object: &[u8]) {
        self.0
            .extend_from_slice(&(object.len() as u64).to_le_bytes());
        self.0.extend_from_slice(object);
    }

    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Goes through objects; `Err` where the bytes are something else.
pub struct Objects<'a>(pub &'a [u8]);

impl<'a> Iterator for Objects<'a> {
    type Item = Result<&'a [u8], ()>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let object = self.0.split_at_checked(LENGTH).and_then(|(length, rest)| {
            let length = u64::from_le_bytes(length.try_into().ok()?);
            rest.split_at_checked(usize::try_from(length).ok()?)
        });
        Some(match object {
            Some((object, rest)) => {
                self.0 = rest;
                Ok(object)
            }
            None => {
                self.0 = &[];
                Err(())
            }
        })
    }
}
