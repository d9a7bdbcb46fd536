//! Plain types: what the portal talks about. No input or output happens here, but
//! that the system is asked for the time and for its zones.

pub mod authority;
pub mod ban;
pub mod event;
pub mod group;
pub mod health;
pub mod image;
pub mod invitation;
pub mod job;
pub mod limits;
pub mod name;
pub mod plan;
pub mod preferences;
pub mod role;
pub mod session;
pub mod text;
pub mod time;
pub mod user;
pub mod vm;
mod words;
pub mod zone;

pub use authority::{Authorities, Authority, Revocation};
pub use ban::{Ban, Network};
pub use event::{Category, Event, EventDraft, Outcome, Severity};
pub use health::{Check, Gauges, Health, Published, Status};
pub use image::Image;
pub use invitation::{Invitation, InvitationState};
pub use job::{Job, JobState};
pub use limits::KeyLimits;
pub use name::VmName;
pub use plan::{Plan, Size};
pub use preferences::{Preferences, Setting};
pub use role::{Grant, Permission, Policy, Reach, Rights, Role, RoleName, Scope, Standing};
pub use session::{Credential, SessionInfo};
pub use time::Time;
pub use user::{Person, SshKey, User};
pub use vm::{Vm, VmState};
pub use zone::Zone;
