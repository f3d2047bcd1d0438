//! Files as large as they may be, each with much of one thing: reading takes time in proportion, and memory that ends.

use std::fmt::Write;
use std::io;
use std::time::Duration;

use hwpool_describe::{draft, parse};
use nix::time::{ClockId, clock_gettime};

/// What each of these may take of a processor in a build without optimizations; where time grows with the square, it is minutes.
const LONG: Duration = Duration::from_secs(20);

/// Joins what is made of each number.
fn each(count: u32, make: impl Fn(u32) -> String) -> String {
    (0..count).fold(String::new(), |mut all, n| {
        write!(all, "{}", make(n)).expect("strings take all");
        all
    })
}

/// A description with such registers.
fn described(registers: &str) -> String {
    format!(
        "schema = \"hwpool.device/1\"\nname = \"big\"\ndepth = 8\nalive = \"STATUS\"\npop = {{ read = \"POP\" }}\n\
         push = {{ write = \"PUSH\" }}\nempty = {{ flag = \"STATUS.0\" }}\nvalue = {{ is = \"index\" }}\n\
         [registers]\nPOP = 0\nPUSH = 4\nSTATUS = {{ at = 8, bits = \"1:0\" }}\n{registers}"
    )
}

/// CMSIS-SVD with such peripherals.
fn svd(peripherals: &str) -> String {
    format!("<device><peripherals>{peripherals}</peripherals></device>")
}

/// A register of CMSIS-SVD, with more in it.
fn register(name: &str, more: &str) -> String {
    format!("<register><name>{name}</name><addressOffset>0</addressOffset>{more}</register>")
}

fn peripheral(name: &str, registers: &str) -> String {
    format!("<peripheral><name>{name}</name><registers>{registers}</registers></peripheral>")
}

/// Fields, each with a line for people.
fn fields(count: u32) -> String {
    let doc = "words ".repeat(30);
    let field = |n| {
        format!(
            "<field><name>F{n}</name><description>{doc}</description><bitOffset>{n}</bitOffset><bitWidth>1</bitWidth></field>"
        )
    };
    each(count, field)
}

fn ip_xact(registers: &str) -> String {
    format!(
        "<component><memoryMaps><memoryMap><name>M</name><addressBlock><name>B</name>{registers}</addressBlock></memoryMap>\
         </memoryMaps></component>"
    )
}

fn csr(blocks: u32, of_each: u32) -> String {
    let bases = each(blocks, |n| format!("\"b{n}\":0,"));
    let registers = |n| {
        each(of_each, |m| {
            format!("\"b{n}_r{m}\":{{\"addr\":{n},\"size\":1,\"type\":\"rw\"}},")
        })
    };
    let registers = each(blocks, registers);
    let (bases, registers) = (bases.trim_end_matches(','), registers.trim_end_matches(','));
    format!("{{\"csr_bases\":{{{bases}}},\"csr_registers\":{{{registers}}}}}")
}

/// Register files, each with words of what becomes of it; none where it can be read.
fn register_files() -> Vec<(&'static str, String, Option<&'static str>)> {
    let many = each(8_000, |n| register(&format!("R{n}"), ""));
    let others = each(8_000, |n| register(&format!("O{n}"), ""));
    let derived = format!(
        "<peripheral derivedFrom=\"A\"><name>B</name><registers>{others}</registers></peripheral>"
    );
    let of_one = each(8_000, |n| {
        format!("<register derivedFrom=\"R{n}\"><name>D{n}</name></register>")
    });
    let named = each(8_000, |n| {
        format!("<register derivedFrom=\"A.R{n}\"><name>D{n}</name></register>")
    });
    let wide = format!("<dim>60000</dim><fields>{}</fields>", fields(32));
    let long = "L".repeat(1 << 20);
    let empty = |n: u32| peripheral(&format!("P{n}"), &register("R", ""));
    let chained = |n: u32| format!("<peripheral derivedFrom=\"P\"><name>C{n}</name></peripheral>");
    let in_chain = |n: u32| {
        let before = n.saturating_sub(1);
        format!("<register derivedFrom=\"R{before}\"><name>R{n}</name></register>")
    };
    let chain = register("R0", "") + &each(8_000, |n| in_chain(n + 1));
    // Each is derived from the one beside it, which is called as those in all other clusters.
    let pair = register("R", "") + "<register derivedFrom=\"R\"><name>D</name></register>";
    let clusters = each(10_000, |n| {
        format!("<cluster><name>C{n}</name><addressOffset>0</addressOffset>{pair}</cluster>")
    });
    vec![
        (
            "a peripheral derived from another",
            svd(&(peripheral("A", &many) + &derived)),
            None,
        ),
        (
            "registers derived from those beside",
            svd(&peripheral("A", &(many.clone() + &of_one))),
            None,
        ),
        (
            "registers derived by path",
            svd(&(peripheral("A", &many) + &peripheral("B", &named))),
            None,
        ),
        (
            "registers each derived from the last",
            svd(&peripheral("A", &chain)),
            Some("derived over more than"),
        ),
        (
            "registers derived from one of many of its name",
            svd(&peripheral("A", &clusters)),
            None,
        ),
        (
            "fields of an array",
            svd(&peripheral("A", &register("R", &wide))),
            Some("fields"),
        ),
        (
            "an array of a long name",
            svd(&peripheral("A", &register(&long, "<dim>60000</dim>"))),
            Some("<name>"),
        ),
        ("peripherals", svd(&each(10_000, empty)), None),
        (
            "derived peripherals",
            svd(&(each(10_000, chained) + &empty(0).replace("P0", "P"))),
            None,
        ),
        (
            "fields of an array in IP-XACT",
            ip_xact(&register("R", &format!("<dim>60000</dim>{}", fields(32)))),
            Some("fields"),
        ),
        (
            "a long name in IP-XACT",
            ip_xact(&register(&long, "<dim>60000</dim>")),
            Some("<name>"),
        ),
        ("blocks of csr.json", csr(10_000, 1), None),
        ("registers of csr.json", csr(1, 20_000), None),
    ]
}

/// Returns how long this thread has had a processor.
fn worked() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .expect("each thread has such a clock")
        .into()
}

/// Sees that something is over in time, however long others have the processors.
fn in_time(what: &str, act: impl FnOnce()) {
    let start = worked();
    act();
    let took = worked() - start;
    assert!(took < LONG, "{what}: {took:?}");
}

#[test]
fn large_register_files_take_time_in_proportion() {
    for (what, text, refused) in register_files() {
        in_time(what, || match (draft(&text, "file", None), refused) {
            (Ok(_), None) => {}
            (Err(wrong), Some(words)) => assert!(wrong.why.contains(words), "{what}: {wrong}"),
            (other, _) => panic!("{what}: {other:?}"),
        });
    }
}

#[test]
fn large_descriptions_take_time_in_proportion() {
    let register = |n| format!("R{n} = {}\n", 16 + 4 * n);
    let fields = each(40_000, |n| format!("F{n} = 0, "));
    let long = "L".repeat(900_000);
    let texts = [
        (
            "registers",
            described(&each(50_000, register)),
            "registers: 4096 at most",
        ),
        (
            "fields",
            described(&format!(
                "R = {{ at = 16, fields = {{ {} }} }}\n",
                fields.trim_end_matches(", ")
            )),
            "",
        ),
        (
            "a long name",
            described(&each(4_000, register)).replace("\"POP\"", &format!("{long:?}")),
            "no register",
        ),
        (
            "a long word",
            described("").replace("\"index\"", &format!("{long:?}")),
            "value.is",
        ),
        (
            "a deep table",
            described(&format!(
                "R = {}1{}\n",
                "[".repeat(100_000),
                "]".repeat(100_000)
            )),
            "recursion",
        ),
    ];
    let none = |_: &str| Err(io::ErrorKind::NotFound.into());
    for (what, text, words) in texts {
        assert!(text.len() <= 1 << 20, "{what}: {}", text.len());
        in_time(what, || match parse(&text, "big.toml", &none) {
            Ok(_) => assert_eq!(words, "", "{what}"),
            Err(wrong) => {
                let wrong = wrong.to_string();
                assert!(
                    !words.is_empty() && wrong.contains(words),
                    "{what}: {wrong:.300}"
                );
            }
        });
    }
}
