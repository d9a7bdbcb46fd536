//! Plans: named sizes with a price.

use serde::Serialize;

use crate::error::{Code, Error, Result};

/// How large a VM is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory, MiB.
    pub ram_mb: u32,
    /// Disk, GiB.
    pub disk_gb: u32,
}

/// The smallest size that a VM may have.
pub const LEAST: Size = Size { vcpus: 1, ram_mb: 64, disk_gb: 1 };

/// What an order may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// The smallest size of one's own making.
    pub least: Size,
    /// The largest.
    pub most: Size,
    /// VMs of one account.
    pub vms_per_user: u32,
    /// Tags of one VM.
    pub tags: usize,
    /// Characters of a tag.
    pub tag_characters: usize,
    /// Bytes of user data.
    pub user_data_bytes: usize,
}

impl Limits {
    /// Whether anybody may make up that size.
    ///
    /// # Errors
    /// `usage` if it is too small for any VM, `quota` if it is too large.
    pub fn admit(&self, size: Size) -> Result<()> {
        let (least, most) = (self.least, self.most);
        if size.vcpus < least.vcpus || size.ram_mb < least.ram_mb || size.disk_gb < least.disk_gb {
            return Err(Error::usage(format!(
                "A VM has at least {} vCPU, {} MB of memory and {} GB of disk.",
                least.vcpus, least.ram_mb, least.disk_gb
            ))
            .hint("`plan limits` tells how large it may be."));
        }
        if size.vcpus <= most.vcpus && size.ram_mb <= most.ram_mb && size.disk_gb <= most.disk_gb {
            return Ok(());
        }
        let message = format!(
            "A size of your own has at most {} vCPU, {} MB of memory and {} GB of disk.",
            most.vcpus, most.ram_mb, most.disk_gb
        );
        Err(Error::new(Code::Quota, message).hint("`plan ls` shows the larger ones, if there are any."))
    }
}

/// A size with a name and a price.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// What people type.
    pub name: String,
    /// The size it stands for.
    #[serde(flatten)]
    pub size: Size,
    /// Its price.
    pub credits_per_hour: f64,
}

impl Plan {
    /// The plans of a portal whose configuration names none.
    pub fn built_in() -> Vec<Plan> {
        [("small", 1, 512, 10, 1.0), ("medium", 2, 2048, 20, 3.0), ("large", 4, 4096, 50, 6.0)]
            .into_iter()
            .map(|(name, vcpus, ram_mb, disk_gb, credits_per_hour)| Plan {
                name: name.to_owned(),
                size: Size { vcpus, ram_mb, disk_gb },
                credits_per_hour,
            })
            .collect()
    }
}

/// The price of a size that no plan names: as the built-in plans, linear in memory.
pub fn custom_price(size: Size) -> f64 {
    let by_ram = f64::from(size.ram_mb) / 512.0;
    let by_cpu = f64::from(size.vcpus);
    ((by_ram + by_cpu) / 2.0 * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_ones_own_have_two_ends() {
        let most = Size { vcpus: 4, ram_mb: 4096, disk_gb: 50 };
        let limits =
            Limits { least: LEAST, most, vms_per_user: 1, tags: 1, tag_characters: 1, user_data_bytes: 1 };
        assert!(limits.admit(LEAST).is_ok() && limits.admit(most).is_ok());
        for small in [Size { vcpus: 0, ..most }, Size { ram_mb: 63, ..most }, Size { disk_gb: 0, ..most }] {
            assert_eq!(limits.admit(small).map_err(|e| e.code), Err(Code::Usage), "{small:?}");
        }
        for large in
            [Size { vcpus: 5, ..LEAST }, Size { ram_mb: 4097, ..LEAST }, Size { disk_gb: 51, ..LEAST }]
        {
            assert_eq!(limits.admit(large).map_err(|e| e.code), Err(Code::Quota), "{large:?}");
        }
    }
}
