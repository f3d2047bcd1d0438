//! csr.json of LiteX: places from the beginning of the region, words, and what it can't be.

use crate::grid::{left_out, lines, refused};

/// A design whose CSRs lie at 0x8000_0000 of its bus; `$` stands for more constants.
const CSR: &str = r#"{
"csr_bases": { "uart": 2147487744, "uart_fifo": 2147489792, "rom": 2147491840 },
"csr_registers": {
  "uart_rxtx": { "addr": 2147487744, "size": 1, "type": "rw" },
  "uart_fifo_count": { "addr": 2147489792, "size": 2, "type": "ro" },
  "uart_fifo_wide": { "addr": 2147489808, "size": 3, "type": "rw" },
  "uart_fifo_huge": { "addr": 2147489824, "size": 65, "type": "rw" }
},
"constants": { "config_csr_data_width": 32, "config_cpu_none": null, "config_cpu_human_name": "none" $ },
"memories": { "csr": { "base": 2147483648, "size": 65536, "type": "io" } } }"#;

fn with(constant: &str) -> String {
    CSR.replace('$', constant)
}

#[test]
fn places_count_from_the_region() {
    let all = lines(&with(""), None);
    let expected = [
        "UART_RXTX 0x1000 RW",
        "UART_FIFO_COUNT_LOW 0x1804 RO",
        "UART_FIFO_COUNT_HIGH 0x1800 RO",
        // The last of three words is the lowest.
        "UART_FIFO_WIDE_2 0x1810 RW",
        "UART_FIFO_WIDE_1 0x1814 RW",
        "UART_FIFO_WIDE_0 0x1818 RW",
    ];
    assert_eq!(all, expected);
    // The longest name of a block with which a register's begins is its own.
    assert_eq!(lines(&with(""), Some("uart")), ["RXTX 0x1000 RW"]);
    // Without the region, the lowest block begins it.
    let bare = with("").replace("\"csr\"", "\"other\"");
    assert_eq!(lines(&bare, None)[0], "UART_RXTX 0x0 RW");
    let why = left_out(&with(""), "UART_FIFO_HUGE");
    assert_eq!(why, "it has 65 words");
}

#[test]
fn words_lie_as_far_apart_as_the_alignment_says() {
    let all = lines(&with(", \"config_csr_alignment\": 64"), Some("uart_fifo"));
    let expected = [
        "COUNT_1 0x1800 RO",
        "COUNT_0 0x1808 RO",
        "WIDE_2 0x1810 RW",
        "WIDE_1 0x1818 RW",
        "WIDE_0 0x1820 RW",
    ];
    assert_eq!(all, expected);
}

#[test]
fn what_it_cannot_be_has_a_place() {
    let narrow = with("").replace("width\": 32", "width\": 8");
    for (text, why) in [
        (
            narrow,
            "9:16: CSRs have words of 8 bits here: make the design with csr_data_width=32, so that an access is a word",
        ),
        (
            with(", \"config_csr_alignment\": 16"),
            "9:104: CSRs lie every 2 bytes here: words of 4 are read",
        ),
        (
            with("").replace("\"rw\" },\n  \"uart_fifo_c", "\"w\" },\n  \"uart_fifo_c"),
            r#"4:3: the type of `uart_rxtx` is "w", neither ro nor rw"#,
        ),
        (
            with("").replace("2147483648", "2147487748"),
            "4:3: `uart_rxtx` lies at 0x80001000, before its region at 0x80001004",
        ),
    ] {
        assert_eq!(refused(&text), why);
    }
}
