//! Many invitations as values of one statement.

use tokio_postgres::types::ToSql;

use crate::invitation::Identity;

/// The keys of invitations, as arrays.
pub struct Keys {
    pub campaigns: Vec<String>,
    pub packages: Vec<String>,
    pub addresses: Vec<String>,
    pub occasions: Vec<String>,
}

impl Keys {
    pub fn of<'a>(identities: impl Iterator<Item = &'a Identity>) -> Self {
        let mut keys = Self {
            campaigns: Vec::new(),
            packages: Vec::new(),
            addresses: Vec::new(),
            occasions: Vec::new(),
        };
        for identity in identities {
            keys.campaigns.push(identity.campaign.clone());
            keys.packages.push(identity.package_id.to_string());
            keys.addresses.push(identity.address.clone());
            keys.occasions.push(identity.occasion.to_string());
        }
        keys
    }

    /// The arrays in the order of the fields.
    pub fn values(&self) -> [&(dyn ToSql + Sync); 4] {
        [
            &self.campaigns,
            &self.packages,
            &self.addresses,
            &self.occasions,
        ]
    }
}
