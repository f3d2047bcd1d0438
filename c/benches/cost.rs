//! What a take and a give cost in C, beside Rust's, in one process.
//!
//! Sides take turns, 200 µs each. What counts is the median of the ratios of slices that ran next to each other, because
//! absolute times drift with the machine. Rust's slots are numbers of four bytes; C's objects are addresses. So Rust is there twice:
//! as it is, and with the address of each object, which is what C has when a take returns.
//!
//! `cargo bench -p hwpool-c`, with a number for the slices of each side (400).

use std::env;
use std::error::Error;
use std::ffi::{CString, c_char, c_int, c_ulong, c_void};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr;
use std::time::{Duration, Instant};

use hwpool::pool::{Batch, Pool, Worker};

type Outcome<T> = Result<T, Box<dyn Error>>;

const SLICE: Duration = Duration::from_micros(200);
const OBJECTS: u32 = 8192;

/// What is measured: rounds of a take and a give.
type Rounds = Box<dyn FnMut(u64)>;

fn main() -> Outcome<()> {
    // Cargo passes `--bench`.
    let slices = env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let slices: usize = slices.unwrap_or(400);
    let c = Library::load()?;
    println!(
        "{slices} slices a side, objects of 2048 and 2176 bytes; ns an object, taken and given"
    );
    println!(
        "size  cache   n   Rust  with addresses      C   C to Rust   C to Rust with addresses"
    );
    for size in [2048, 2176] {
        for cache in [512, 0] {
            compare::<1>(&c, size, cache, slices)?;
            compare::<8>(&c, size, cache, slices)?;
            compare::<32>(&c, size, cache, slices)?;
        }
    }
    Ok(())
}

fn compare<const N: usize>(c: &Library, size: usize, cache: usize, slices: usize) -> Outcome<()> {
    let mut sides = [
        slots::<N>(worker(size, cache)?),
        addresses::<N>(worker(size, cache)?),
        c.rounds(c.worker(size, cache)?, N),
    ];
    let rounds: Vec<u64> = sides.iter_mut().map(calibrate).collect();
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for turn in 0..slices {
        let mut order = [0, 1, 2];
        if turn % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let spent = time(&mut sides[at], rounds[at]);
            times[at].push(spent.as_nanos() as f64 / (rounds[at] * N as u64) as f64);
        }
    }
    let [rust, with, ours] = &times;
    let ratio = |to: &[f64]| median(ours.iter().zip(to).map(|(ours, to)| ours / to).collect());
    println!(
        "{size:4}  {cache:5}  {N:2}  {:5.2}  {:14.2}  {:5.2}  {:10.2}   {:24.2}",
        median(rust.clone()),
        median(with.clone()),
        median(ours.clone()),
        ratio(rust),
        ratio(with)
    );
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn time(rounds: &mut Rounds, n: u64) -> Duration {
    let started = Instant::now();
    rounds(n);
    started.elapsed()
}

/// Finds how many rounds fill a slice; the most of three attempts, because a disturbance makes rounds look long.
fn calibrate(rounds: &mut Rounds) -> u64 {
    let mut attempt = || {
        let mut n = 64;
        loop {
            let spent = time(rounds, n);
            if spent > SLICE / 4 {
                return (n as f64 * SLICE.as_secs_f64() / spent.as_secs_f64()) as u64;
            }
            n *= 2;
        }
    };
    (0..3).map(|_| attempt()).max().expect("three attempts")
}

fn worker(size: usize, cache: usize) -> Outcome<Worker> {
    let pool = Pool::builder("rust")
        .objects(OBJECTS)
        .size(size)
        .cache(cache)
        .build()?;
    Ok(pool.worker("rust")?)
}

/// The Rust side, as it is.
fn slots<const N: usize>(mut worker: Worker) -> Rounds {
    let mut batch = Batch::<N>::new();
    Box::new(move |rounds| {
        for _ in 0..rounds {
            let taken = worker.take_into(&mut batch, N);
            assert!(taken.expect("the pool is sound"), "the pool has enough");
            worker.give_from(&mut batch, N).expect("the pool is sound");
        }
    })
}

/// The Rust side, with the address of each object.
fn addresses<const N: usize>(mut worker: Worker) -> Rounds {
    let mut batch = Batch::<N>::new();
    let mut objects = [ptr::null_mut::<u8>(); N];
    Box::new(move |rounds| {
        for _ in 0..rounds {
            let taken = worker.take_into(&mut batch, N);
            assert!(taken.expect("the pool is sound"), "the pool has enough");
            for (slot, object) in batch.iter_mut().zip(&mut objects) {
                *object = worker.bytes_mut(slot).as_mut_ptr();
            }
            black_box(&mut objects);
            worker.give_from(&mut batch, N).expect("the pool is sound");
        }
    })
}

/// The library as C has it, and the loops of `loops.c` that call it.
struct Library {
    directory: PathBuf,
    handle: *mut c_void,
}

type One = unsafe extern "C" fn(*mut c_void, c_ulong) -> c_ulong;
type Many = unsafe extern "C" fn(*mut c_void, c_ulong, usize) -> c_ulong;
type Create = unsafe extern "C" fn(*const Options, usize, *mut *mut c_void) -> c_int;
type Attach = unsafe extern "C" fn(*mut c_void, *const c_char, *mut *mut c_void) -> c_int;

/// `hwpool_pool_options`.
#[repr(C)]
struct Options {
    name: *const c_char,
    backend: *const c_char,
    device: *const c_void,
    objects: u32,
    size: u32,
    align: u32,
    cache: u32,
    others: [u32; 4],
}

impl Library {
    /// Compiles the loops against the library that Cargo has built beside this program.
    fn load() -> Outcome<Library> {
        let program = env::current_exe()?;
        let directory = program.parent().ok_or("a program is somewhere")?.to_owned();
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let loops = directory.join("libhwpool_c_loops.so");
        let soname = directory.join("libhwpool.so.0");
        let _ = std::fs::remove_file(&soname);
        std::os::unix::fs::symlink("libhwpool_c.so", &soname)?;
        let compiled = Command::new(env::var("CC").unwrap_or("cc".into()))
            .args(["-O2", "-shared", "-fPIC", "-Wall", "-Werror", "-I"])
            .arg(package.join("include"))
            .arg(package.join("benches/loops.c"))
            .arg(&soname)
            .arg(format!("-Wl,-rpath,{}", directory.display()))
            .arg("-o")
            .arg(&loops)
            .status()?;
        if !compiled.success() {
            return Err("loops.c can't be compiled".into());
        }
        let path = CString::new(loops.into_os_string().into_encoded_bytes())?;
        // SAFETY: a path of a library whose only code at load is Rust's.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        match handle.is_null() {
            true => Err("the loops can't be loaded".into()),
            false => Ok(Library { directory, handle }),
        }
    }

    /// Returns a function by its name.
    ///
    /// # Safety
    /// `F` is the type of the function of that name.
    unsafe fn function<F: Copy>(&self, name: &str) -> Outcome<F> {
        let text = CString::new(name)?;
        // SAFETY: a library that is never closed.
        let address = unsafe { libc::dlsym(self.handle, text.as_ptr()) };
        if address.is_null() {
            return Err(format!("{name} is not in {:?}", self.directory).into());
        }
        // SAFETY: a function of that type, by the caller's promise.
        Ok(unsafe { std::mem::transmute_copy::<*mut c_void, F>(&address) })
    }

    /// Attaches a worker of a pool like those of the Rust side.
    fn worker(&self, size: usize, cache: usize) -> Outcome<*mut c_void> {
        // SAFETY: the types are those of the header.
        let (create, attach) = unsafe {
            (
                self.function::<Create>("hwpool_pool_create")?,
                self.function::<Attach>("hwpool_worker_attach")?,
            )
        };
        let options = Options {
            name: c"c".as_ptr(),
            backend: ptr::null(),
            device: ptr::null(),
            objects: OBJECTS,
            size: u32::try_from(size)?,
            align: 0,
            cache: if cache == 0 {
                u32::MAX
            } else {
                u32::try_from(cache)?
            },
            others: [0; 4],
        };
        let (mut pool, mut worker) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: as the header says.
        let status = unsafe { create(&options, size_of::<Options>(), &mut pool) };
        // SAFETY: as above.
        if status != 0 || unsafe { attach(pool, c"c".as_ptr(), &mut worker) } != 0 {
            return Err("no worker of a pool".into());
        }
        Ok(worker)
    }

    fn rounds(&self, worker: *mut c_void, n: usize) -> Rounds {
        // SAFETY: the types are those of `loops.c`.
        let one = unsafe { self.function::<One>("one") }.expect("it is in loops.c");
        // SAFETY: as above.
        let many = unsafe { self.function::<Many>("many") }.expect("it is in loops.c");
        Box::new(move |rounds| {
            // SAFETY: a worker of this thread that is never detached.
            let failed = match n {
                // SAFETY: as above.
                1 => unsafe { one(worker, rounds) },
                // SAFETY: as above.
                _ => unsafe { many(worker, rounds, n) },
            };
            assert_eq!(failed, 0, "the pool has enough");
        })
    }
}
