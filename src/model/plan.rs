//! Plans: named sizes with a price.

use serde::Serialize;

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
