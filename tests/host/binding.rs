//! Binding and the way back: after a death at any change, and a second death during recovery, the machine is as it was.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use hwpool::host::bind::{BindError, Journals, Plan, Request};
use hwpool::host::{Reason, Writer};
use hwpool::vfio::Bdf;
use nix::errno::Errno;

use super::kernel::{Death, Died, Dying, FakeKernel};
use super::machine::{BMU, Machine, Spec, bmu, nic, port};

const SECOND: &str = "0000:01:00.1";

/// A machine, the functions on it, and what is asked for.
struct Case {
    name: &'static str,
    machine: Machine,
    functions: Vec<Spec>,
    interface: Option<&'static str>,
    request: Request,
}

impl Case {
    fn new(name: &'static str, functions: Vec<Spec>) -> Case {
        let machine = Machine::new();
        functions.iter().for_each(|spec| machine.add(spec));
        let request = Request {
            device: bdf(BMU),
            driver: "vfio-pci".into(),
            owner: None,
            whole_group: false,
            overrides: Vec::new(),
        };
        Case {
            name,
            machine,
            functions,
            interface: None,
            request,
        }
    }

    fn kernel(&self) -> FakeKernel<'_> {
        let kernel = FakeKernel::new(&self.machine, &self.functions);
        match self.interface {
            Some(name) => kernel.interface(BMU, name),
            None => kernel,
        }
    }

    fn journals(&self) -> Journals {
        Journals::at(&self.machine.path("/run/hwpool"))
    }

    fn bind(&self, writer: &mut dyn Writer) -> Result<Plan, BindError> {
        let (tree, journals) = (self.machine.tree(), self.journals());
        let lock = journals.lock()?;
        let plan = Plan::bind(&tree, &journals, &self.request)?;
        plan.execute(&tree, writer, &journals, &lock)?;
        Ok(plan)
    }

    fn recover(&self, writer: &mut dyn Writer) -> Result<Option<Plan>, BindError> {
        let (tree, journals) = (self.machine.tree(), self.journals());
        let lock = journals.lock()?;
        let plan = Plan::recover(&tree, &journals, bdf(BMU), &[])?;
        if let Some(plan) = &plan {
            plan.execute(&tree, writer, &journals, &lock)?;
        }
        Ok(plan)
    }

    fn unbind(&self, driver: Option<&str>) -> Result<Plan, BindError> {
        let (tree, journals) = (self.machine.tree(), self.journals());
        let lock = journals.lock()?;
        let plan = Plan::unbind(&tree, &journals, bdf(BMU), driver, &[])?;
        plan.execute(&tree, &mut self.kernel(), &journals, &lock)?;
        Ok(plan)
    }

    fn is_on(&self, driver: &str) -> bool {
        let function = hwpool::host::Function::read(&self.machine.tree(), bdf(BMU));
        function.expect("the function").driver.as_deref() == Some(driver)
    }

    fn has_journal(&self) -> bool {
        self.journals().of(bdf(BMU)).expect("readable").is_some()
    }
}

fn bdf(text: &str) -> Bdf {
    text.parse().expect("an address")
}

/// The board on the driver of a network controller, with an interface that nobody uses.
fn idle_nic() -> Case {
    let spec = nic(BMU, "e1000e", 7);
    let mut case = Case::new("idle NIC", vec![spec.clone()]);
    case.machine.interface(&spec, "eth1", false);
    case.interface = Some("eth1");
    case
}

fn without_driver() -> Case {
    Case::new(
        "no driver",
        vec![Spec {
            driver: None,
            ..bmu()
        }],
    )
}

fn with_override() -> Case {
    let case = Case::new("override", vec![nic(BMU, "e1000e", 7)]);
    let at = format!("/sys/bus/pci/devices/{BMU}/driver_override");
    case.machine.file(&at, "e1000e\n");
    case
}

fn whole_group() -> Case {
    let functions = vec![nic(BMU, "e1000e", 7), nic(SECOND, "igb", 7)];
    let mut case = Case::new("whole group", functions);
    case.request.whole_group = true;
    case
}

/// Behind a bridge to conventional PCI, whose driver does not share its group with VFIO.
fn whole_group_with_bridge() -> Case {
    let bridge = Spec {
        driver: Some("shpchp"),
        ..port("0000:00:04.0", 7, None)
    };
    let functions = vec![nic(BMU, "e1000e", 7), bridge, nic(SECOND, "igb", 7)];
    let mut case = Case::new("whole group with bridge", functions);
    case.request.whole_group = true;
    case
}

fn virtual_functions() -> Case {
    let mut case = Case::new("virtual functions", vec![nic(BMU, "ixgbe", 7)]);
    let at = format!("/sys/bus/pci/devices/{BMU}");
    case.machine.file(&format!("{at}/sriov_totalvfs"), "8\n");
    case.machine.file(&format!("{at}/sriov_numvfs"), "2\n");
    case.request.overrides = vec![Reason::Vfs];
    case
}

/// The group's node is there already and root's; alice gets it. Only root can give files away.
fn with_owner() -> Case {
    let functions = vec![
        nic(BMU, "e1000e", 7),
        Spec {
            bdf: SECOND,
            ..bmu()
        },
    ];
    let mut case = Case::new("owner", functions);
    case.request.owner = Some(case.machine.alice());
    case
}

/// Makers of the cases; each test of a death takes a fresh machine.
fn cases() -> Vec<fn() -> Case> {
    let mut cases: Vec<fn() -> Case> = vec![
        idle_nic,
        without_driver,
        with_override,
        whole_group,
        whole_group_with_bridge,
        virtual_functions,
    ];
    match nix::unistd::getuid().is_root() {
        true => cases.push(with_owner),
        false => eprintln!("SKIP the case with an owner: only root gives files away"),
    }
    cases
}

/// Lets `command` run until the process dies; `None` where it came to its end. Returns the changes that it made, too.
pub(crate) fn until_death<T>(
    kernel: &mut FakeKernel<'_>,
    death: Death,
    command: impl FnOnce(&mut dyn Writer) -> Result<T, BindError>,
) -> Option<Result<T, BindError>> {
    let mut dying = Dying {
        kernel,
        death: Some(death),
        changes: 0,
    };
    match catch_unwind(AssertUnwindSafe(|| command(&mut dying))) {
        Ok(result) => Some(result),
        Err(payload) if payload.is::<Died>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

fn deaths() -> impl Iterator<Item = Death> {
    (1..40).flat_map(|at| [false, true].map(|after| Death { at, after }))
}

#[test]
fn after_death_at_any_change_recovery_leads_back() {
    for make in cases() {
        let mut tried = 0;
        for death in deaths() {
            let case = make();
            let before = case.machine.contents();
            let ended = until_death(&mut case.kernel(), death, |writer| case.bind(writer));
            let context = format!("{}, death {death:?}", case.name);
            if let Some(result) = ended {
                result.unwrap_or_else(|error| panic!("{context}: {error}"));
                assert!(case.is_on("vfio-pci"), "{context}");
                break;
            }
            tried += 1;
            assert!(
                matches!(
                    case.bind(&mut case.kernel()),
                    Err(BindError::Interrupted { .. })
                ),
                "{context}"
            );
            let plan = case.recover(&mut case.kernel());
            plan.unwrap_or_else(|error| panic!("{context}: {error}"));
            assert_eq!(case.machine.contents(), before, "{context}");
            assert!(!case.has_journal(), "{context}");
        }
        assert!(tried >= 4, "{} deaths", tried);
    }
}

#[test]
fn after_a_second_death_during_recovery_another_one_leads_back() {
    let mut tried = 0;
    for make in cases() {
        for first in deaths() {
            // What bind came to before its death, recovery can be cut off in at each of its own changes.
            let mut bound = false;
            for second in deaths() {
                let case = make();
                let before = case.machine.contents();
                bound =
                    until_death(&mut case.kernel(), first, |writer| case.bind(writer)).is_some();
                let ended = until_death(&mut case.kernel(), second, |writer| case.recover(writer));
                let recovered = ended.is_some();
                let plan = case.recover(&mut case.kernel());
                let context = format!("{}, deaths {first:?} and {second:?}", case.name);
                plan.unwrap_or_else(|error| panic!("{context}: {error}"));
                assert_eq!(case.machine.contents(), before, "{context}");
                tried += 1;
                if recovered {
                    break;
                }
            }
            if bound {
                break;
            }
        }
    }
    println!("{tried} pairs of deaths");
    assert!(tried > 200, "{tried}");
}

#[test]
fn what_was_bound_is_given_back_by_unbind_as_by_recover() {
    for make in cases() {
        for by_unbind in [true, false] {
            let case = make();
            let before = case.machine.contents();
            let plan = case.bind(&mut case.kernel()).expect("binds");
            assert!(
                !plan.steps.is_empty() && case.is_on("vfio-pci"),
                "{}",
                case.name
            );
            let again = case.bind(&mut case.kernel()).expect("is bound");
            assert!(again.steps.is_empty(), "{}: {:?}", case.name, again.steps);
            match by_unbind {
                true => drop(case.unbind(None).expect("unbinds")),
                false => drop(case.recover(&mut case.kernel()).expect("recovers")),
            }
            assert_eq!(case.machine.contents(), before, "{}", case.name);
            assert!(!case.has_journal());
        }
    }
}

#[test]
fn the_driver_is_named_before_the_function_is_free() {
    let case = idle_nic();
    let mut kernel = case.kernel();
    case.bind(&mut kernel).expect("binds");
    let at = format!("/sys/bus/pci/devices/{BMU}");
    let expected = [
        format!("vfio-pci > {at}/driver_override"),
        format!("{BMU} > /sys/bus/pci/drivers/e1000e/unbind"),
        format!("{BMU} > /sys/bus/pci/drivers_probe"),
    ];
    assert_eq!(kernel.writes, expected);
}

#[test]
fn a_driver_that_refuses_leaves_everything_as_it_was() {
    let case = idle_nic();
    let before = case.machine.contents();
    let mut kernel = case.kernel();
    kernel.refusing = vec!["vfio-pci"];
    let Err(BindError::PutBack { source }) = case.bind(&mut kernel) else {
        panic!("binding fails and is put back");
    };
    assert!(
        matches!(*source, BindError::Verify { found: None, .. }),
        "{source}"
    );
    assert_eq!(case.machine.contents(), before);
    assert!(!case.has_journal());
}

#[test]
fn when_putting_back_fails_too_the_journal_stays() {
    let case = idle_nic();
    let before = case.machine.contents();
    let mut kernel = case.kernel();
    kernel.refusing = vec!["vfio-pci", "e1000e"];
    assert!(matches!(
        case.bind(&mut kernel),
        Err(BindError::Stuck { .. })
    ));
    assert!(case.has_journal());
    case.recover(&mut case.kernel())
        .expect("recovers once the driver is well");
    assert_eq!(case.machine.contents(), before);
}

#[test]
fn without_a_journal_the_kernel_chooses_the_driver() {
    let case = idle_nic();
    case.bind(&mut case.kernel()).expect("binds");
    std::fs::remove_dir_all(case.machine.path("/run/hwpool")).unwrap();
    case.unbind(None).expect("unbinds");
    assert!(case.is_on("e1000e"));
    let nothing = case.unbind(None).expect("is on its own driver");
    assert!(nothing.steps.is_empty() && !case.has_journal());
}

#[test]
fn a_function_that_the_kernel_has_no_driver_for_is_given_back_to_none() {
    let case = without_driver();
    let before = case.machine.contents();
    case.bind(&mut case.kernel()).expect("binds");
    std::fs::remove_dir_all(case.machine.path("/run/hwpool")).unwrap();
    case.unbind(None).expect("unbinds");
    assert_eq!(case.machine.contents(), before);
}

#[test]
fn unbind_takes_another_driver_if_asked() {
    let case = idle_nic();
    case.machine.driver("pci-stub");
    case.bind(&mut case.kernel()).expect("binds");
    case.unbind(Some("pci-stub")).expect("unbinds");
    assert!(case.is_on("pci-stub") && !case.has_journal());
    assert!(matches!(
        case.unbind(Some("nowhere")),
        Err(BindError::NoDriver { .. })
    ));
    assert!(case.is_on("pci-stub"));
}

#[test]
fn who_bound_it_by_other_means_since_is_told() {
    let case = idle_nic();
    case.bind(&mut case.kernel()).expect("binds");
    let mut kernel = case.kernel();
    let at = case
        .machine
        .path(&format!("/sys/bus/pci/devices/{BMU}/driver_override"));
    kernel.write(&at, "e1000e").unwrap();
    kernel
        .write(
            &case.machine.path("/sys/bus/pci/drivers/vfio-pci/unbind"),
            BMU,
        )
        .unwrap();
    kernel
        .write(&case.machine.path("/sys/bus/pci/drivers_probe"), BMU)
        .unwrap();
    assert!(matches!(
        case.bind(&mut case.kernel()),
        Err(BindError::Moved { .. })
    ));
    case.recover(&mut case.kernel()).expect("recovers");
    assert!(case.is_on("e1000e"));
}

#[test]
fn one_process_binds_at_a_time() {
    let case = idle_nic();
    let held = case.journals().lock().expect("is free");
    assert!(matches!(
        case.bind(&mut case.kernel()),
        Err(BindError::Busy { .. })
    ));
    drop(held);
    case.bind(&mut case.kernel()).expect("binds");
}

#[test]
fn what_another_version_wrote_is_not_guessed_at() {
    let case = idle_nic();
    let path = format!("/run/hwpool/{BMU}.journal");
    case.machine
        .file(&path, "{\"schema\":\"hwpool.journal/9\"}\n");
    let before = case.machine.contents();
    assert!(matches!(
        case.bind(&mut case.kernel()),
        Err(BindError::JournalText { .. })
    ));
    assert!(matches!(
        case.recover(&mut case.kernel()),
        Err(BindError::JournalText { .. })
    ));
    assert_eq!(case.machine.contents(), before);
}

#[test]
fn a_journal_that_never_came_into_being_is_no_hindrance() {
    let case = idle_nic();
    case.machine
        .file(&format!("/run/hwpool/{BMU}.new"), "{\"schema\":");
    assert!(
        case.recover(&mut case.kernel())
            .expect("readable")
            .is_none()
    );
    case.bind(&mut case.kernel()).expect("binds");
}

#[test]
fn a_bridge_and_what_is_absent_are_not_bound() {
    let mut case = Case::new("bridge", vec![port("0000:00:1d.0", 2, None)]);
    case.request.device = bdf("0000:00:1d.0");
    assert!(matches!(
        case.bind(&mut case.kernel()),
        Err(BindError::Bridge { .. })
    ));
    case.request.device = bdf("0000:05:00.0");
    assert!(matches!(
        case.bind(&mut case.kernel()),
        Err(BindError::NoFunction { .. })
    ));
}

/// A kernel that lets nothing be written.
struct Denied;

impl Writer for Denied {
    fn write(&mut self, _: &std::path::Path, _: &str) -> io::Result<()> {
        Err(Errno::EACCES.into())
    }

    fn own(&mut self, _: &std::path::Path, _: u32) -> io::Result<()> {
        Err(Errno::EACCES.into())
    }
}

#[test]
fn what_failed_at_its_first_change_has_changed_nothing() {
    let case = idle_nic();
    let error = case.bind(&mut Denied).expect_err("is refused");
    assert!(matches!(error, BindError::Unchanged { .. }), "{error:?}");
    assert!(!case.has_journal());
}

#[test]
fn a_function_that_was_found_again_is_bound_again() {
    for make in cases() {
        let case = make();
        let before = case.machine.contents();
        case.bind(&mut case.kernel()).expect("binds");
        let own = |spec: &&Spec| spec.driver != Some("vfio-pci");
        for spec in case.functions.iter().filter(own) {
            case.kernel().find_again(spec.bdf, spec.ids);
        }
        assert!(!case.is_on("vfio-pci"), "{}", case.name);
        let plan = case.bind(&mut case.kernel());
        let plan = plan.unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let [renewed] = &plan.renewed[..] else {
            panic!("{}: {:?}", case.name, plan.renewed);
        };
        assert_eq!(renewed.was, renewed.now, "{}", case.name);
        assert!(case.is_on("vfio-pci"), "{}", case.name);
        case.unbind(None).expect("unbinds");
        assert_eq!(case.machine.contents(), before, "{}", case.name);
    }
}

#[test]
fn a_board_that_was_programmed_again_is_bound_as_a_new_one() {
    let case = idle_nic();
    case.bind(&mut case.kernel()).expect("binds");
    let ids = (0x10ee, 0x9038);
    case.kernel().find_again(BMU, ids);
    let before = case.machine.contents();
    let plan = case.bind(&mut case.kernel()).expect("binds the new one");
    assert_eq!((plan.renewed.len(), plan.renewed[0].now), (1, ids));
    let told = plan.renewed[0].to_string();
    assert!(
        told.contains("was 8086:10fb when it was bound, and is 10ee:9038 now"),
        "{told}"
    );
    assert!(case.is_on("vfio-pci"));
    let again = case.bind(&mut case.kernel()).expect("is bound");
    assert!(again.steps.is_empty() && again.renewed.is_empty());
    case.unbind(None).expect("gives the new one back");
    assert_eq!(case.machine.contents(), before);
    assert!(!case.has_journal());
}

#[test]
fn who_was_never_bound_is_not_probed() {
    let case = without_driver();
    let plan = case.unbind(None).expect("is as it shall be");
    assert!(plan.steps.is_empty(), "{:?}", plan.steps);
}

/// The kernel's own choice for it is vfio-pci.
#[test]
fn ids_that_keep_a_function_on_vfio_are_named() {
    let options = "options vfio-pci disable_vga=1 ids=10de:1234,1234:b0f5\n";
    let cases = [
        (
            "/proc/cmdline",
            "root=/dev/vda1 vfio_pci.ids=10de:1,1234:B0F5:1234:1\n",
            "`vfio_pci.ids=10de:1,1234:B0F5:1234:1` on the kernel's command line",
        ),
        (
            "/etc/modprobe.d/vfio.conf",
            options,
            "/etc/modprobe.d/vfio.conf gives vfio-pci each function 1234:b0f5",
        ),
        (
            "/proc/cmdline",
            "vfio-pci.ids=1234:b0f4 notvfio.ids=1234\n",
            "/sys/bus/pci/drivers/vfio-pci/remove_id",
        ),
    ];
    for (file, text, told) in cases {
        let case = Case::new("ids", vec![bmu()]);
        case.machine.file(file, text);
        let Err(BindError::Unchanged { source }) = case.unbind(None) else {
            panic!("{text}: it stays where it is");
        };
        assert!(source.to_string().contains(told), "{source}");
        assert!(case.is_on("vfio-pci") && !case.has_journal());
    }
}

/// The board, which the kernel found before the IOMMU's driver came, and never looked for a driver for.
fn before_its_iommu(others: Vec<Spec>) -> Case {
    let board = Spec {
        driver: None,
        group: None,
        ..bmu()
    };
    let mut case = Case::new("late IOMMU", vec![board]);
    others.iter().for_each(|spec| case.machine.add(spec));
    case.functions.extend(others);
    case
}

#[test]
fn a_function_that_gets_its_group_when_it_is_probed_is_bound() {
    let mut case = before_its_iommu(vec![]);
    case.functions[0].group = Some(7);
    let plan = case.bind(&mut case.kernel()).expect("binds");
    assert!(case.is_on("vfio-pci") && plan.overridden.is_empty());
    let again = case.bind(&mut case.kernel()).expect("is bound");
    assert!(again.steps.is_empty(), "{:?}", again.steps);
    case.unbind(None).expect("unbinds");
    let function = hwpool::host::Function::read(&case.machine.tree(), bdf(BMU));
    assert_eq!(function.and_then(|function| function.driver), None);
}

#[test]
fn without_a_group_that_vfio_takes_it_is_put_back() {
    let put_back = |case: &Case, kernel: &mut FakeKernel<'_>| {
        let Err(BindError::PutBack { source }) = case.bind(kernel) else {
            panic!("binding fails and is put back");
        };
        assert!(!case.is_on("vfio-pci") && !case.has_journal());
        source
    };
    let case = before_its_iommu(vec![]);
    let source = put_back(&case, &mut case.kernel());
    assert!(matches!(*source, BindError::Verify { .. }), "{source}");
    let mut kernel = case.kernel();
    kernel.noiommu = true;
    let source = put_back(&case, &mut kernel);
    assert!(matches!(*source, BindError::NoGroup { .. }), "{source}");

    let mut case = before_its_iommu(vec![nic(SECOND, "igb", 7)]);
    case.functions[0].group = Some(7);
    let source = put_back(&case, &mut case.kernel());
    assert!(matches!(*source, BindError::Strangers { .. }), "{source}");
    case.request.whole_group = true;
    case.bind(&mut case.kernel()).expect("now that it is known");
}

#[test]
fn without_any_iommu_nothing_is_tried() {
    let case = before_its_iommu(vec![]);
    std::fs::remove_dir_all(case.machine.path("/sys/class/iommu")).unwrap();
    let refused = case.bind(&mut case.kernel());
    assert!(matches!(refused, Err(BindError::Refused { .. })));
}
