//! `group`: a class, a team; and VMs that are shared with one.

use clap::Args;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::model::group::{Group, GroupName, Level, Member, Shared};
use crate::model::name::VmRef;
use crate::model::{Category, Permission, Scope, text};
use crate::portal::{Action, Cx, Target};

/// The longest note, characters.
const LONGEST_NOTE: usize = 200;

/// The groups
#[derive(Debug, Args, Serialize)]
pub struct GroupLs {}

impl Action for GroupLs {
    const NAME: &'static str = "group.ls";
    const PERMISSION: Permission = Permission::UserRead;
    const CATEGORY: Category = Category::Iam;
    type Output = Vec<Group>;

    async fn run(self, cx: &Cx) -> Result<Vec<Group>> {
        cx.portal.store().groups().await
    }
}

/// One group: who is in it, what is shared with it
#[derive(Debug, Args, Serialize)]
pub struct GroupShow {
    /// Its name
    pub name: GroupName,
}

impl Action for GroupShow {
    const NAME: &'static str = "group.show";
    const PERMISSION: Permission = Permission::UserRead;
    const CATEGORY: Category = Category::Iam;
    type Output = Group;

    async fn run(self, cx: &Cx) -> Result<Group> {
        cx.portal.store().group(self.name).await
    }
}

/// Make a group
#[derive(Debug, Args, Serialize)]
pub struct GroupNew {
    /// What it is called
    pub name: GroupName,
    /// What it is for
    #[arg(long, default_value = "")]
    pub note: String,
}

impl Action for GroupNew {
    const NAME: &'static str = "group.new";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = Group;

    async fn run(self, cx: &Cx) -> Result<Group> {
        if self.note.chars().count() > LONGEST_NOTE || self.note.chars().any(text::is_unsafe) {
            return Err(Error::usage(format!(
                "A note has at most {LONGEST_NOTE} characters, none of them a control character."
            )));
        }
        cx.portal.store().group_insert(self.name, self.note).await
    }
}

/// Remove a group; its members stay, what was shared with it is not any more
#[derive(Debug, Args, Serialize)]
pub struct GroupRm {
    /// Its name
    pub name: GroupName,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

impl Action for GroupRm {
    const NAME: &'static str = "group.rm";
    const PERMISSION: Permission = Permission::UserWrite;
    const CATEGORY: Category = Category::Iam;
    type Output = ();

    async fn run(self, cx: &Cx) -> Result<()> {
        cx.portal.store().group_delete(self.name).await
    }
}

macro_rules! changes_members {
    ($(#[$doc:meta])* $verb:ident, $name:literal, $call:ident) => {
        $(#[$doc])*
        #[derive(Debug, Args, Serialize)]
        pub struct $verb {
            /// Its name
            pub name: GroupName,
            /// Accounts; another group as @NAME
            #[arg(required = true, num_args = 1..=1000, value_name = "MEMBER")]
            pub members: Vec<Member>,
        }

        impl Action for $verb {
            const NAME: &'static str = $name;
            const PERMISSION: Permission = Permission::UserWrite;
            const CATEGORY: Category = Category::Iam;
            type Output = Group;

            async fn run(self, cx: &Cx) -> Result<Group> {
                cx.portal.may_fill(cx, &self.name).await?;
                cx.portal.store().$call(self.name, self.members).await
            }
        }
    };
}

changes_members! {
    /// Take members into a group
    ///
    ///   group add class3 alice bob @tutors
    GroupAdd, "group.add", group_add
}

changes_members! {
    /// Let members of a group go
    GroupRemove, "group.remove", group_remove
}

/// Share a VM with a group that you are in
///
///   vm share web1 class3 --level enter
///
/// Its members see it, may start and stop it, or may be inside it; each level
/// holds those before it. It stays yours.
#[derive(Debug, Args, Serialize)]
pub struct VmShare {
    /// Its name; another's as NAME.OWNER
    pub name: VmRef,
    /// The group
    pub group: GroupName,
    /// What its members may do: see, operate, enter
    #[arg(long, default_value_t = Level::Enter)]
    pub level: Level,
}

impl Action for VmShare {
    const NAME: &'static str = "vm.share";
    const PERMISSION: Permission = Permission::VmWrite;
    const CHANGES_RIGHTS: bool = true;
    const CATEGORY: Category = Category::Iam;
    type Output = Vec<Shared>;

    fn target(&self) -> Target {
        Target::Vms(vec![self.name.clone()])
    }

    async fn run(self, cx: &Cx) -> Result<Vec<Shared>> {
        let by = (cx.scope != Scope::All).then(|| cx.who.user_id());
        cx.portal.store().share(cx.vm()?.id, self.group, self.level, by).await
    }
}

/// Do not share a VM with a group any more
#[derive(Debug, Args, Serialize)]
pub struct VmUnshare {
    /// Its name; another's as NAME.OWNER
    pub name: VmRef,
    /// The group
    pub group: GroupName,
}

impl Action for VmUnshare {
    const NAME: &'static str = "vm.unshare";
    const PERMISSION: Permission = Permission::VmWrite;
    const CHANGES_RIGHTS: bool = true;
    const CATEGORY: Category = Category::Iam;
    type Output = Vec<Shared>;

    fn target(&self) -> Target {
        Target::Vms(vec![self.name.clone()])
    }

    async fn run(self, cx: &Cx) -> Result<Vec<Shared>> {
        cx.portal.store().unshare(cx.vm()?.id, self.group).await
    }
}

/// With whom a VM is shared
#[derive(Debug, Args, Serialize)]
pub struct VmShares {
    /// Its name; another's as NAME.OWNER
    pub name: VmRef,
}

impl Action for VmShares {
    const NAME: &'static str = "vm.shares";
    const PERMISSION: Permission = Permission::VmRead;
    const CATEGORY: Category = Category::Iam;
    type Output = Vec<Shared>;

    fn target(&self) -> Target {
        Target::Vms(vec![self.name.clone()])
    }

    async fn run(self, cx: &Cx) -> Result<Vec<Shared>> {
        cx.portal.store().shares_of(cx.vm()?.id).await
    }
}
