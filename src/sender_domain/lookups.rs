//! The lookups of one check: a server that does not answer is not waited for again.

use crate::dns::{DnsError, RecordType, Resolver};

/// Looks names up until DNS does not answer.
pub struct Lookups<'r> {
    resolver: &'r Resolver,
    outage: Option<DnsError>,
}

impl<'r> Lookups<'r> {
    pub fn new(resolver: &'r Resolver) -> Self {
        Self {
            resolver,
            outage: None,
        }
    }

    /// The TXT records of a name; empty if there is no such name.
    pub async fn txt(&mut self, name: &str) -> Result<Vec<String>, DnsError> {
        self.available()?;
        let result = self.resolver.txt(name).await;
        self.keep(result).map(Option::unwrap_or_default)
    }

    /// Whether a name has records of one of these types.
    pub async fn has(&mut self, name: &str, kinds: &[RecordType]) -> Result<bool, DnsError> {
        for kind in kinds {
            self.available()?;
            let result = self.resolver.has(name, *kind).await;
            match self.keep(result)? {
                Some(true) => return Ok(true),
                Some(false) => {}
                None => return Ok(false),
            }
        }
        Ok(false)
    }

    fn available(&self) -> Result<(), DnsError> {
        self.outage.clone().map_or(Ok(()), Err)
    }

    /// The value, `None` if there is no such name.
    fn keep<T>(&mut self, result: Result<T, DnsError>) -> Result<Option<T>, DnsError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(DnsError::NoSuchName) => Ok(None),
            Err(error) => {
                self.outage = error.is_outage().then(|| error.clone());
                Err(error)
            }
        }
    }
}
