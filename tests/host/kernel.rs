//! A kernel that reacts to writes in a [`Machine`] as Linux does: drivers take functions and let go of them, and what
//! they make appears and vanishes. And a process that dies on it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::panic::resume_unwind;
use std::path::Path;

use hwpool::host::Writer;
use nix::errno::Errno;

use super::machine::{Machine, Spec, home};

pub(crate) struct FakeKernel<'a> {
    machine: &'a Machine,
    functions: BTreeMap<&'static str, Spec>,
    /// Interfaces by function: there as long as the function's own driver has it.
    interfaces: BTreeMap<&'static str, &'static str>,
    /// Drivers that refuse every function.
    pub(crate) refusing: Vec<&'static str>,
    /// VFIO takes functions without an IOMMU.
    pub(crate) noiommu: bool,
    /// All writes, in order.
    pub(crate) writes: Vec<String>,
}

impl<'a> FakeKernel<'a> {
    /// Knows `functions`, whose drivers are those that the kernel would choose.
    pub(crate) fn new(machine: &'a Machine, functions: &[Spec]) -> FakeKernel<'a> {
        FakeKernel {
            machine,
            functions: functions
                .iter()
                .map(|spec| (spec.bdf, spec.clone()))
                .collect(),
            interfaces: BTreeMap::new(),
            refusing: Vec::new(),
            noiommu: false,
            writes: Vec::new(),
        }
    }

    /// Lets a function have an interface while its own driver has it.
    pub(crate) fn interface(mut self, bdf: &'static str, name: &'static str) -> Self {
        self.interfaces.insert(bdf, name);
        self
    }

    fn spec(&self, bdf: &str) -> io::Result<Spec> {
        let spec = self.functions.get(bdf.trim()).cloned();
        spec.ok_or(Errno::ENODEV.into())
    }

    fn driver_of(&self, spec: &Spec) -> Option<String> {
        let link = fs::read_link(self.machine.path(&format!("{}/driver", home(spec)))).ok()?;
        Some(link.file_name()?.to_str()?.to_string())
    }

    fn named(&self, spec: &Spec) -> Option<String> {
        let text = fs::read_to_string(
            self.machine
                .path(&format!("{}/driver_override", home(spec))),
        );
        let text = text.expect("driver_override").trim().to_string();
        (text != "(null)" && !text.is_empty()).then_some(text)
    }

    fn unbind(&self, driver: &str, spec: &Spec) -> io::Result<()> {
        if self.driver_of(spec).as_deref() != Some(driver) {
            return Err(Errno::ENODEV.into());
        }
        self.remove(&format!("{}/driver", home(spec)));
        self.remove(&format!("/sys/bus/pci/drivers/{driver}/{}", spec.bdf));
        match driver {
            "vfio-pci" => self.vfio_leaves(spec),
            _ => self.driver_leaves(spec),
        }
        Ok(())
    }

    fn driver_leaves(&self, spec: &Spec) {
        if let Some(name) = self.interfaces.get(spec.bdf) {
            self.remove(&format!("/sys/class/net/{name}"));
            let at = self.machine.path(&format!("{}/net", home(spec)));
            let _ = fs::remove_dir_all(at);
        }
        let vfs = format!("{}/sriov_numvfs", home(spec));
        if self.machine.path(&vfs).exists() {
            self.machine.file(&vfs, "0\n");
        }
    }

    /// The node of a group goes with the last of its functions.
    fn vfio_leaves(&self, spec: &Spec) {
        let _ = fs::remove_dir_all(self.machine.path(&format!("{}/vfio-dev", home(spec))));
        self.remove(&format!("/dev/vfio/devices/{}", vfio_name(spec)));
        let mut others = self
            .functions
            .values()
            .filter(|other| other.group == spec.group);
        if !others.any(|other| self.driver_of(other).as_deref() == Some("vfio-pci")) {
            self.remove(&format!("/dev/vfio/{}", spec.group.unwrap_or_default()));
        }
    }

    /// Looks for a driver: the one that is named, else the function's own.
    fn probe(&self, spec: &Spec) {
        if self.driver_of(spec).is_some() {
            return;
        }
        self.give_group(spec);
        let Some(driver) = self.named(spec).or(spec.driver.map(str::to_string)) else {
            return;
        };
        let is_there = self
            .machine
            .path(&format!("/sys/bus/pci/drivers/{driver}"))
            .exists();
        // VFIO takes no bridge (`vfio_pci_core_register_device`: EINVAL).
        let is_vfio = driver == "vfio-pci";
        let has_group = || self.machine.path(&group_link(spec)).exists();
        let is_refused = self.refusing.contains(&driver.as_str())
            || (is_vfio && (spec.config.bridge || !has_group()));
        if !is_there || is_refused {
            return;
        }
        self.machine.link(
            &format!("{}/driver", home(spec)),
            &format!("/sys/bus/pci/drivers/{driver}"),
        );
        self.machine.link(
            &format!("/sys/bus/pci/drivers/{driver}/{}", spec.bdf),
            &home(spec),
        );
        match (driver.as_str(), spec.group) {
            ("vfio-pci", Some(group)) => self.vfio_comes(spec, group),
            (driver, _) if Some(driver) == spec.driver => {
                if let Some(name) = self.interfaces.get(spec.bdf) {
                    self.machine.interface(spec, name, false);
                }
            }
            _ => {}
        }
    }

    /// A function whose IOMMU came late gets its group when a driver is looked for. Without an IOMMU vfio makes one up.
    fn give_group(&self, spec: &Spec) {
        if self.machine.path(&group_link(spec)).exists() {
            return;
        }
        match (spec.group, self.noiommu) {
            (Some(group), _) => self.machine.join(spec, group),
            (None, true) => {
                self.machine.join(spec, 0);
                let name = "/sys/kernel/iommu_groups/0/name";
                self.machine.file(name, "vfio-noiommu\n");
            }
            (None, false) => {}
        }
    }

    /// Removes a function, and finds it again as `ids`: nothing is left of what it was told.
    pub(crate) fn find_again(&self, bdf: &str, ids: (u16, u16)) {
        let spec = self.spec(bdf).expect("a function");
        if let Some(driver) = self.driver_of(&spec) {
            self.unbind(&driver, &spec).expect("its driver");
        }
        let write = |name: &str, text: String| {
            self.machine.file(&format!("{}/{name}", home(&spec)), text);
        };
        write("driver_override", "(null)\n".into());
        write("vendor", format!("{:#06x}\n", ids.0));
        write("device", format!("{:#06x}\n", ids.1));
        let config = self.machine.path(&format!("{}/config", home(&spec)));
        let mut bytes = std::fs::read(&config).expect("a configuration space");
        bytes[..2].copy_from_slice(&ids.0.to_le_bytes());
        bytes[2..4].copy_from_slice(&ids.1.to_le_bytes());
        std::fs::write(&config, bytes).expect("a configuration space");
        self.probe(&spec);
    }

    fn vfio_comes(&self, spec: &Spec, group: u32) {
        let node = format!("/dev/vfio/{group}");
        if !self.machine.path(&node).exists() {
            self.machine.node(&node, 0o600);
        }
        let name = vfio_name(spec);
        self.machine
            .file(&format!("{}/vfio-dev/{name}/dev", home(spec)), "511:0\n");
        self.machine
            .node(&format!("/dev/vfio/devices/{name}"), 0o600);
    }

    fn remove(&self, path: &str) {
        let _ = fs::remove_file(self.machine.path(path));
    }
}

fn group_link(spec: &Spec) -> String {
    format!("{}/iommu_group", home(spec))
}

fn vfio_name(spec: &Spec) -> String {
    let digits: String = spec.bdf.chars().filter(char::is_ascii_digit).collect();
    format!("vfio{}", digits.trim_start_matches('0'))
}

impl Writer for FakeKernel<'_> {
    fn write(&mut self, path: &Path, value: &str) -> io::Result<()> {
        let path = path
            .strip_prefix(self.machine.path("/"))
            .expect("below the root");
        let path = path.to_str().expect("text").to_string();
        self.writes.push(format!("{} > /{path}", value.trim()));
        let parts: Vec<_> = path.split('/').collect();
        match parts[..] {
            ["sys", "bus", "pci", "drivers_probe"] => {
                self.probe(&self.spec(value)?);
                Ok(())
            }
            ["sys", "bus", "pci", "drivers", driver, "unbind"] => {
                self.unbind(driver, &self.spec(value)?)
            }
            ["sys", "bus", "pci", "devices", bdf, "driver_override"] => {
                let at = format!("{}/driver_override", home(&self.spec(bdf)?));
                let text = if value.trim().is_empty() {
                    "(null)"
                } else {
                    value.trim()
                };
                self.machine.file(&at, format!("{text}\n"));
                Ok(())
            }
            ["sys", "bus", "pci", "devices", bdf, "sriov_numvfs"] => {
                let at = format!("{}/sriov_numvfs", home(&self.spec(bdf)?));
                self.machine.file(&at, format!("{}\n", value.trim()));
                Ok(())
            }
            _ => Err(Errno::EACCES.into()),
        }
    }

    fn own(&mut self, path: &Path, uid: u32) -> io::Result<()> {
        std::os::unix::fs::chown(path, Some(uid), None)
    }
}

/// When a process dies.
#[derive(Debug, Copy, Clone)]
pub(crate) struct Death {
    /// At which change, counted from 1.
    pub(crate) at: usize,
    /// The change itself is still made.
    pub(crate) after: bool,
}

/// What a dying process leaves behind: nothing of it runs any more.
pub(crate) struct Died;

/// A process that writes to a kernel and dies on the way, as by SIGKILL: no error is returned that could be handled.
pub(crate) struct Dying<'a, 'b> {
    pub(crate) kernel: &'a mut FakeKernel<'b>,
    pub(crate) death: Option<Death>,
    pub(crate) changes: usize,
}

impl Dying<'_, '_> {
    fn change(
        &mut self,
        change: impl FnOnce(&mut FakeKernel<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.changes += 1;
        let death = self.death.filter(|death| death.at == self.changes);
        match death {
            None => change(self.kernel),
            Some(death) => {
                if death.after {
                    change(self.kernel)?;
                }
                // Without the panic hook's words.
                resume_unwind(Box::new(Died))
            }
        }
    }
}

impl Writer for Dying<'_, '_> {
    fn write(&mut self, path: &Path, value: &str) -> io::Result<()> {
        self.change(|kernel| kernel.write(path, value))
    }

    fn own(&mut self, path: &Path, uid: u32) -> io::Result<()> {
        self.change(|kernel| kernel.own(path, uid))
    }
}
