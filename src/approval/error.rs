//! Why an approval does not let a send go ahead.

/// An error of an approval, with what failed, where, why, and how to fix it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApprovalError {
    /// These inputs are not approved: preview and approve them.
    #[error("{0}")]
    NotApproved(String),
    /// The approval is damaged, or no approval: copy it again.
    #[error("{0}")]
    NotUsable(String),
    /// This user may not read the approval: change owner or mode.
    #[error("{0}")]
    NoPermission(String),
    /// A file cannot be written, or the copy of the list cannot be read: make room, look after the disk.
    #[error("{0}")]
    Io(String),
}

/// What approvals return.
pub type Result<T> = std::result::Result<T, ApprovalError>;
