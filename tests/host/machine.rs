//! A directory that looks like a machine: /sys, /proc, /dev and /etc, as far as hwpool reads them.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use hwpool::host::Tree;

/// The board in most machines here.
pub(crate) const BMU: &str = "0000:01:00.0";
/// The port above it.
pub(crate) const PORT: &str = "0000:00:1c.0";

/// The tree, removed when dropped.
pub(crate) struct Machine {
    root: PathBuf,
}

/// A function to be put into a machine.
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) bdf: &'static str,
    /// Bridges on the way to it.
    pub(crate) above: &'static [&'static str],
    pub(crate) ids: (u16, u16),
    pub(crate) class: u32,
    pub(crate) driver: Option<&'static str>,
    pub(crate) group: Option<u32>,
    pub(crate) config: Config,
    /// The file `resource`.
    pub(crate) resource: &'static str,
    /// Speed and width now, and at most.
    pub(crate) link: Option<[&'static str; 4]>,
    pub(crate) reset: &'static str,
}

/// Configuration space of a function.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) bars: [u32; 6],
    pub(crate) flr: bool,
    pub(crate) vectors: u16,
    /// Controls of Access Control Services, where it has them.
    pub(crate) acs: Option<u16>,
    /// What of them can be switched on.
    pub(crate) acs_able: u16,
    /// Code of the longest payload: 1 for 256 bytes.
    pub(crate) payload: u32,
    /// A bridge's header holds bus numbers where others have BARs.
    pub(crate) bridge: bool,
    /// What the PCI Express capability says that it is: 0 an endpoint, 4 a root port, 5 an upstream port.
    pub(crate) port: u32,
}

const FULL_LINK: [&str; 4] = ["8.0 GT/s PCIe", "8", "8.0 GT/s PCIe", "8"];

/// BAR 0 and 2 of 64 bits, BAR 4 of 32.
const RESOURCE: &str = "\
0x00000000f0000000 0x00000000f000ffff 0x0000000000140204
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x00000000f0100000 0x00000000f013ffff 0x0000000000140204
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x00000000f0200000 0x00000000f0200fff 0x0000000000040200
0x0000000000000000 0x0000000000000000 0x0000000000000000
";

/// The board that hwpool drives: bound to vfio-pci, alone in its group, all well.
pub(crate) fn bmu() -> Spec {
    Spec {
        bdf: BMU,
        above: &[PORT],
        ids: (0x1234, 0xb0f5),
        class: 0x05_8000,
        driver: Some("vfio-pci"),
        group: Some(7),
        config: Config {
            bars: [0xf000_0004, 0, 0xf010_0004, 0, 0xf020_0000, 0],
            flr: true,
            vectors: 32,
            acs: None,
            acs_able: 0x1f,
            payload: 1,
            bridge: false,
            port: 0,
        },
        resource: RESOURCE,
        link: Some(FULL_LINK),
        reset: "flr bus",
    }
}

/// A port of the root complex.
pub(crate) fn port(bdf: &'static str, group: u32, acs: Option<u16>) -> Spec {
    Spec {
        bdf,
        above: &[],
        ids: (0x8086, 0xa110),
        class: 0x06_0400,
        driver: Some("pcieport"),
        group: Some(group),
        config: Config {
            bars: [0; 6],
            flr: false,
            vectors: 1,
            acs,
            acs_able: 0x1f,
            payload: 1,
            bridge: true,
            port: 4,
        },
        resource: "",
        link: None,
        reset: "pm",
    }
}

/// A network controller on `driver`.
pub(crate) fn nic(bdf: &'static str, driver: &'static str, group: u32) -> Spec {
    Spec {
        ids: (0x8086, 0x10fb),
        class: 0x02_0000,
        driver: Some(driver),
        group: Some(group),
        bdf,
        ..bmu()
    }
}

impl Machine {
    /// Builds a machine on which all is well, with a port and no function behind it; the user is alice.
    pub(crate) fn new() -> Machine {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hwpool-host-{}-{number}", std::process::id());
        // Journals are flushed with each line: in memory that costs nothing.
        let memory = Path::new("/dev/shm");
        let root = match memory.is_dir() {
            true => memory.join(name),
            false => std::env::temp_dir().join(name),
        };
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).expect("a directory");
        let machine = Machine { root };
        machine.fill();
        machine.add(&port(PORT, 1, Some(0x1d)));
        machine
    }

    fn fill(&self) {
        let me = nix::unistd::getuid().as_raw();
        let alice = self.alice();
        self.file(
            "/etc/passwd",
            format!("root:x:{me}:0::/:/bin/sh\nalice:x:{alice}:100::/:/bin/sh\n"),
        );
        self.file("/proc/cmdline", "root=/dev/vda1 intel_iommu=on\n");
        self.file("/proc/sys/kernel/osrelease", "6.13.4-lab\n");
        self.status(alice, 100, 0);
        self.limits("unlimited", "1024");
        self.file("/proc/self/cgroup", "0::/user\n");
        self.file("/proc/self/uid_map", "         0          0 4294967295\n");
        self.file("/sys/fs/cgroup/user/memory.max", "max\n");
        self.file(
            "/proc/self/mountinfo",
            "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n",
        );
        self.file(
            "/proc/net/route",
            "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n",
        );
        self.file("/proc/net/ipv6_route", "");
        for process in ["1", "self"] {
            self.dangling(&format!("/proc/{process}/ns/net"), "net:[4026531840]");
        }
        self.file("/proc/swaps", "Filename Type Size Used Priority\n");
        self.file(
            "/proc/interrupts",
            "  24:  0  0  IR-PCI-MSIX-0000:00:1c.0  0-edge  PME\n",
        );
        self.file("/sys/class/iommu/dmar0/intel-iommu/cap", "d2008c40660462\n");
        self.file(
            "/sys/kernel/security/lockdown",
            "[none] integrity confidentiality\n",
        );
        self.file(
            "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
            "N\n",
        );
        self.file(
            "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit",
            "65535\n",
        );
        self.file(
            "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
            "N\n",
        );
        self.file(
            "/sys/kernel/mm/transparent_hugepage/shmem_enabled",
            "always within_size [advise] never\n",
        );
        self.hugepages(0, 2048, 64, 64);
        self.hugepages(1, 2048, 0, 0);
        self.file("/sys/bus/pci/drivers_probe", "");
        for driver in ["vfio-pci", "pci-stub", "pcieport"] {
            self.driver(driver);
        }
        self.node("/dev/vfio/vfio", 0o666);
        for directory in ["/run", "/dev/vfio/devices"] {
            fs::create_dir_all(self.path(directory)).expect("a directory");
        }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    pub(crate) fn root(&self) -> &str {
        self.root.to_str().expect("text")
    }

    pub(crate) fn tree(&self) -> Tree {
        Tree::at(&self.root)
    }

    /// Number of the user alice, who is not the one who runs the tests.
    pub(crate) fn alice(&self) -> u32 {
        nix::unistd::getuid().as_raw() + 1000
    }

    pub(crate) fn file(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    pub(crate) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).expect("a file")
    }

    /// Makes a file of a mode, as a device node.
    pub(crate) fn node(&self, path: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        self.file(path, "");
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).expect("a mode");
    }

    /// Makes a link of sysfs: relative, from one place of the tree to another.
    pub(crate) fn link(&self, from: &str, to: &str) {
        let up = "../".repeat(from.trim_matches('/').split('/').count() - 1);
        self.dangling(from, &format!("{up}{}", to.trim_start_matches('/')));
    }

    /// Makes a link that is only read, as those of /proc.
    pub(crate) fn dangling(&self, from: &str, to: &str) {
        let from = self.path(from);
        fs::create_dir_all(from.parent().expect("a parent")).expect("a directory");
        let _ = fs::remove_file(&from);
        symlink(to, from).expect("a link");
    }

    /// Says who looks: user, group and capabilities.
    pub(crate) fn status(&self, uid: u32, gid: u32, capabilities: u64) {
        let text = format!(
            "Name:\thwpool\nUmask:\t0022\nState:\tR (running)\nTgid:\t7\nNgid:\t0\nPid:\t7\nPPid:\t1\nTracerPid:\t0\n\
             Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{gid}\t{gid}\t{gid}\t{gid}\nFDSize:\t64\nGroups:\t \n\
             Threads:\t1\nSigQ:\t0/96364\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\n\
             SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n\
             CapInh:\t0000000000000000\nCapPrm:\t{capabilities:016x}\nCapEff:\t{capabilities:016x}\n"
        );
        self.file("/proc/self/status", text);
    }

    pub(crate) fn limits(&self, memlock: &str, nofile: &str) {
        let text = format!(
            "Limit                     Soft Limit           Hard Limit           Units\n\
             Max locked memory         {memlock:<20} {memlock:<20} bytes\n\
             Max open files            {nofile:<20} {nofile:<20} files\n"
        );
        self.file("/proc/self/limits", text);
    }

    pub(crate) fn hugepages(&self, node: u32, kib: u32, total: u32, free: u32) {
        let at = format!("/sys/devices/system/node/node{node}/hugepages/hugepages-{kib}kB");
        self.file(&format!("{at}/nr_hugepages"), format!("{total}\n"));
        self.file(&format!("{at}/free_hugepages"), format!("{free}\n"));
        self.file(&format!("{at}/surplus_hugepages"), "0\n");
    }

    pub(crate) fn driver(&self, name: &str) {
        for file in ["bind", "unbind", "new_id"] {
            self.file(&format!("/sys/bus/pci/drivers/{name}/{file}"), "");
        }
    }

    /// Puts a function in.
    pub(crate) fn add(&self, spec: &Spec) {
        let at = home(spec);
        let write = |name: &str, text: String| self.file(&format!("{at}/{name}"), text);
        write("vendor", format!("{:#06x}\n", spec.ids.0));
        write("device", format!("{:#06x}\n", spec.ids.1));
        write("class", format!("{:#08x}\n", spec.class));
        write("revision", "0x01\n".into());
        write("driver_override", "(null)\n".into());
        write("numa_node", "0\n".into());
        write("resource", spec.resource.into());
        write("reset_method", format!("{}\n", spec.reset));
        write("power_state", "D0\n".into());
        write("power/runtime_status", "active\n".into());
        for kind in ["correctable", "nonfatal", "fatal"] {
            write(
                &format!("aer_dev_{kind}"),
                "RxErr 0\nBadTLP 0\nTOTAL_ERR 0\n".into(),
            );
        }
        self.file(&format!("{at}/config"), spec.config.bytes(spec));
        let files = [
            "current_link_speed",
            "current_link_width",
            "max_link_speed",
            "max_link_width",
        ];
        for (name, value) in files.iter().zip(spec.link.iter().flatten()) {
            write(name, format!("{value}\n"));
        }
        self.link(&format!("/sys/bus/pci/devices/{}", spec.bdf), &at);
        if let Some(group) = spec.group {
            self.join(spec, group);
        }
        if let Some(driver) = spec.driver {
            self.driver(driver);
            self.link(
                &format!("{at}/driver"),
                &format!("/sys/bus/pci/drivers/{driver}"),
            );
            self.link(&format!("/sys/bus/pci/drivers/{driver}/{}", spec.bdf), &at);
        }
        if let (Some("vfio-pci"), Some(group)) = (spec.driver, spec.group) {
            self.node(&format!("/dev/vfio/{group}"), 0o600);
        }
    }

    /// Puts a function into an IOMMU group.
    pub(crate) fn join(&self, spec: &Spec, group: u32) {
        let at = format!("/sys/kernel/iommu_groups/{group}");
        self.file(
            &format!("{at}/reserved_regions"),
            "0x00000000fee00000 0x00000000feefffff msi\n",
        );
        self.link(&format!("{at}/devices/{}", spec.bdf), &home(spec));
        self.link(&format!("{}/iommu_group", home(spec)), &at);
    }

    /// Gives a function a network interface.
    pub(crate) fn interface(&self, spec: &Spec, name: &str, carrier: bool) {
        let at = format!("{}/net/{name}", home(spec));
        self.file(&format!("{at}/carrier"), format!("{}\n", u8::from(carrier)));
        self.link(&format!("/sys/class/net/{name}"), &at);
    }

    /// Gives a function a disk or a partition of it, with a device number.
    pub(crate) fn disk(&self, spec: &Spec, path: &str, number: &str) {
        let at = format!("{}/{path}", home(spec));
        let name = path.rsplit('/').next().expect("a name");
        self.file(&format!("{at}/dev"), format!("{number}\n"));
        fs::create_dir_all(self.path(&format!("{at}/holders"))).expect("a directory");
        self.link(&format!("/sys/class/block/{name}"), &at);
    }

    /// Builds a mapped device on a disk.
    pub(crate) fn mapped(&self, spec: &Spec, below: &str, name: &str, called: &str, number: &str) {
        let at = format!("/sys/devices/virtual/block/{name}");
        self.file(&format!("{at}/dev"), format!("{number}\n"));
        self.file(&format!("{at}/dm/name"), format!("{called}\n"));
        self.link(&format!("/sys/class/block/{name}"), &at);
        self.link(&format!("{}/{below}/holders/{name}", home(spec)), &at);
    }

    /// Lets a process have a file open.
    pub(crate) fn process(&self, pid: u32, command: &str, open: &str) {
        self.file(&format!("/proc/{pid}/comm"), format!("{command}\n"));
        self.dangling(&format!("/proc/{pid}/fd/3"), open);
    }

    /// Lets a process have a page of a file mapped, and closed.
    pub(crate) fn mapping(&self, pid: u32, command: &str, file: &str, offset: u64) {
        self.file(&format!("/proc/{pid}/comm"), format!("{command}\n"));
        let maps = format!(
            "5500000000-5500001000 r-xp 00000000 fe:01 77 /usr/bin/{command}\n\
             7f00000000-7f00001000 rw-s {offset:08x} 00:15 99                         {file}\n"
        );
        self.file(&format!("/proc/{pid}/maps"), maps);
    }

    /// Returns all files with what is in them, and links with where they lead; but not the journals, nor the files
    /// that are only for writing.
    pub(crate) fn contents(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        self.walk(&self.root, &mut all);
        all.sort();
        all
    }

    fn walk(&self, directory: &Path, all: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(directory).expect("a directory").flatten() {
            let path = entry.path();
            let name = path
                .strip_prefix(&self.root)
                .expect("below")
                .display()
                .to_string();
            let metadata = path.symlink_metadata().expect("metadata");
            let only_written = ["/bind", "/unbind", "drivers_probe"]
                .iter()
                .any(|end| name.ends_with(end));
            if only_written || name.starts_with("run/hwpool") {
                continue;
            }
            if metadata.is_dir() {
                all.push((name, "directory".into()));
                self.walk(&path, all);
            } else if metadata.is_symlink() {
                all.push((
                    name,
                    fs::read_link(&path).expect("a link").display().to_string(),
                ));
            } else {
                let text = fs::read(&path).expect("a file");
                let text = String::from_utf8_lossy(&text).into_owned();
                // The kernel says (null) where an empty line was written.
                let text = if name.ends_with("driver_override") && text == "\n" {
                    "(null)\n".into()
                } else {
                    text
                };
                all.push((name, format!("{}:{text}", metadata.uid())));
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Returns where a function really is: below the bridges that lead to it.
pub(crate) fn home(spec: &Spec) -> String {
    let above: String = spec.above.iter().map(|bdf| format!("/{bdf}")).collect();
    format!("/sys/devices/pci0000:00{above}/{}", spec.bdf)
}

impl Config {
    /// Lays the space out: PCI Express at 0x40, MSI-X at 0x80, ACS at 0x100.
    fn bytes(&self, spec: &Spec) -> Vec<u8> {
        let mut space = vec![0; 4096];
        let mut put = |at: usize, word: u32| space[at..at + 4].copy_from_slice(&word.to_le_bytes());
        put(0x00, u32::from(spec.ids.1) << 16 | u32::from(spec.ids.0));
        put(0x04, 1 << 20 | 0x6);
        put(0x08, spec.class << 8 | 1);
        put(0x0c, u32::from(self.bridge) << 16);
        for (index, bar) in self.bars.iter().enumerate() {
            put(0x10 + 4 * index, *bar);
        }
        put(0x34, 0x40);
        put(0x40, self.port << 20 | 0x80 << 8 | 0x10);
        // 512 bytes can be done; requests of 512 bytes.
        put(0x44, u32::from(self.flr) << 28 | 2);
        put(0x48, 2 << 12 | self.payload << 5);
        put(0x80, u32::from(self.vectors - 1) << 16 | 0x11);
        if let Some(controls) = self.acs {
            put(0x100, 1 << 16 | 0x000d);
            put(0x104, u32::from(controls) << 16 | u32::from(self.acs_able));
        }
        space
    }
}
