//! Numbers as XML files write them: scaled ones, and the constant expressions of SystemVerilog.

use std::collections::BTreeMap;

/// Most operands of an expression, those of the parameters that it names counted.
const MOST_OPERANDS: u32 = 1024;
/// Most parentheses, signs and parameters in one another.
const DEEPEST: u32 = 64;

/// Reads `16`, `0x10`, `0b10` and `4K`; `hash` is the radix of what begins with `#`: 2 in CMSIS-SVD, 16 in IP-XACT.
pub(super) fn scaled(text: &str, hash: u32) -> Option<u64> {
    let text = text.strip_prefix('+').unwrap_or(text).to_ascii_lowercase();
    let suffixes = [("k", 10), ("m", 20), ("g", 30), ("t", 40)];
    let scale = suffixes
        .iter()
        .find_map(|(suffix, shift)| Some((text.strip_suffix(suffix)?, 1 << shift)));
    let (text, scale) = scale.unwrap_or((&text, 1));
    // `0b10` is hexadecimal where `#` or `0x` stands before it, and only there.
    let prefixes = [("0x", 16), ("#", hash), ("0b", 2)];
    let prefixed = prefixes
        .iter()
        .find_map(|(prefix, radix)| Some((text.strip_prefix(prefix)?, *radix)));
    let (text, radix) = prefixed.unwrap_or((text, 10));
    digits(text, radix)?.checked_mul(scale)
}

/// Without the sign that the standard library takes.
fn digits(text: &str, radix: u32) -> Option<u64> {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
    plain
        .then(|| u64::from_str_radix(text, radix).ok())
        .flatten()
}

/// The texts of parameters, by their ids.
pub(super) type Parameters<'p> = BTreeMap<&'p str, &'p str>;

/// Evaluates a constant expression of SystemVerilog: `'h10`, `16'hff`, `4 * WORDS`, `$clog2(DEPTH) + 1`. Or says why not.
pub(super) fn evaluate(text: &str, parameters: &Parameters<'_>) -> Result<u64, String> {
    let mut expression = Expression {
        rest: text,
        parameters,
        deeper: DEEPEST,
        operands: MOST_OPERANDS,
    };
    let value = expression.whole()?;
    u64::try_from(value).map_err(|_| format!("it is {value}"))
}

/// Operators of two operands and how strongly they bind; a longer one before those that it begins with.
const OPERATORS: &[(&str, u32)] = &[
    ("**", 11),
    ("<<<", 8),
    (">>>", 8),
    ("<<", 8),
    (">>", 8),
    ("<=", 7),
    (">=", 7),
    ("==", 6),
    ("!=", 6),
    ("&&", 2),
    ("||", 1),
    ("*", 10),
    ("/", 10),
    ("%", 10),
    ("+", 9),
    ("-", 9),
    ("<", 7),
    (">", 7),
    ("&", 5),
    ("^", 4),
    ("|", 3),
];

/// An expression that is read from left to right.
struct Expression<'p> {
    rest: &'p str,
    parameters: &'p Parameters<'p>,
    /// How much deeper it may go.
    deeper: u32,
    /// How many operands may still come.
    operands: u32,
}

impl<'p> Expression<'p> {
    fn whole(&mut self) -> Result<i128, String> {
        let value = self.conditional()?;
        match self.rest.trim() {
            "" => Ok(value),
            rest => Err(format!("`{rest}` is left over")),
        }
    }

    /// Takes what the rest begins with.
    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, text: &str) -> Result<(), String> {
        let missing = || format!("`{text}` is missing");
        self.take(text).then_some(()).ok_or_else(missing)
    }

    /// Takes the longest beginning of such characters; empty where there is none.
    fn word(&mut self, fits: impl Fn(char) -> bool) -> &'p str {
        let rest = self.rest.trim_start();
        let end = rest.find(|c| !fits(c)).unwrap_or(rest.len());
        self.rest = &rest[end..];
        &rest[..end]
    }

    /// Goes one level deeper, as far as that is allowed.
    fn inside<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        let deeper = self.deeper.checked_sub(1);
        self.deeper = deeper.ok_or("it is too deep, or names itself")?;
        let read = read(self);
        self.deeper += 1;
        read
    }

    fn conditional(&mut self) -> Result<i128, String> {
        let condition = self.binary(1)?;
        if !self.take("?") {
            return Ok(condition);
        }
        let then = self.inside(Self::conditional)?;
        self.expect(":")?;
        let otherwise = self.inside(Self::conditional)?;
        Ok(if condition != 0 { then } else { otherwise })
    }

    /// Reads operands between operators that bind at least so strongly.
    fn binary(&mut self, least: u32) -> Result<i128, String> {
        let mut value = self.unary()?;
        loop {
            let rest = self.rest.trim_start();
            let next = OPERATORS
                .iter()
                .find(|(operator, _)| rest.starts_with(operator));
            let Some((operator, strength)) = next.filter(|(_, strength)| *strength >= least) else {
                return Ok(value);
            };
            self.take(operator);
            let right = self.inside(|inner| inner.binary(strength + 1))?;
            let result = apply(operator, value, right);
            value =
                result.ok_or_else(|| format!("{value} {operator} {right} has no value here"))?;
        }
    }

    fn unary(&mut self) -> Result<i128, String> {
        if self.take("+") {
            return self.inside(Self::unary);
        }
        if self.take("-") {
            let value = self.inside(Self::unary)?;
            return value.checked_neg().ok_or_else(|| "it is too large".into());
        }
        if self.take("~") {
            return self.inside(Self::unary).map(|value| !value);
        }
        if self.take("!") {
            return self.inside(Self::unary).map(|value| (value == 0).into());
        }
        self.operand()
    }

    fn operand(&mut self) -> Result<i128, String> {
        let operands = self.operands.checked_sub(1);
        self.operands =
            operands.ok_or_else(|| format!("it has more than {MOST_OPERANDS} operands"))?;
        if self.take("(") {
            let value = self.inside(Self::conditional)?;
            return self.expect(")").map(|()| value);
        }
        if self.take("$clog2") {
            self.expect("(")?;
            let value = self.inside(Self::conditional)?;
            self.expect(")")?;
            return bits_for(value).ok_or_else(|| format!("{value} has no $clog2"));
        }
        if self.take("$pow") {
            self.expect("(")?;
            let base = self.inside(Self::conditional)?;
            self.expect(",")?;
            let power = self.inside(Self::conditional)?;
            self.expect(")")?;
            let value = apply("**", base, power);
            return value.ok_or_else(|| format!("{base} ** {power} has no value here"));
        }
        match self.rest.trim_start().chars().next() {
            Some(c) if c.is_ascii_digit() || c == '\'' || c == '#' => {
                let word = self.word(|c| c.is_ascii_alphanumeric() || "'#_".contains(c));
                literal(word).ok_or_else(|| format!("`{word}` is no whole number"))
            }
            Some(c) if c.is_alphabetic() || c == '_' => self.parameter(),
            Some(c) => Err(format!("`{c}` begins no number")),
            None => Err("a number is missing".into()),
        }
    }

    fn parameter(&mut self) -> Result<i128, String> {
        // An id may be `uuid:` with the dashes of one, which are no minus.
        let id = match self.rest.trim_start().starts_with("uuid:") {
            true => self.word(|c| c.is_ascii_alphanumeric() || ":-_".contains(c)),
            false => self.word(|c| c.is_alphanumeric() || "_.".contains(c)),
        };
        let text = match (id, self.parameters.get(id)) {
            (_, Some(text)) => text,
            ("true", None) => "1",
            ("false", None) => "0",
            _ => return Err(format!("there is no parameter `{id}`")),
        };
        let after = std::mem::replace(&mut self.rest, text);
        let value = self.inside(Self::whole)?;
        self.rest = after;
        Ok(value)
    }
}

fn apply(operator: &str, a: i128, b: i128) -> Option<i128> {
    let shift = || u32::try_from(b).ok().filter(|by| *by < 64);
    Some(match operator {
        "**" => a.checked_pow(u32::try_from(b).ok()?)?,
        "*" => a.checked_mul(b)?,
        "/" => a.checked_div(b)?,
        "%" => a.checked_rem(b)?,
        "+" => a.checked_add(b)?,
        "-" => a.checked_sub(b)?,
        "<<" | "<<<" => a.checked_mul(1 << shift()?)?,
        ">>" | ">>>" => a.checked_shr(shift()?).filter(|_| a >= 0)?,
        "<" => (a < b).into(),
        "<=" => (a <= b).into(),
        ">" => (a > b).into(),
        ">=" => (a >= b).into(),
        "==" => (a == b).into(),
        "!=" => (a != b).into(),
        "&" => a & b,
        "^" => a ^ b,
        "|" => a | b,
        "&&" => (a != 0 && b != 0).into(),
        "||" => (a != 0 || b != 0).into(),
        _ => return None,
    })
}

/// Returns how many bits count so many things.
fn bits_for(count: i128) -> Option<i128> {
    match u64::try_from(count).ok()? {
        0 | 1 => Some(0),
        count => Some((u64::BITS - (count - 1).leading_zeros()).into()),
    }
}

fn literal(word: &str) -> Option<i128> {
    let word = word.replace('_', "");
    match word.split_once('\'') {
        Some((size, rest)) => based(size, rest),
        None => scaled(&word, 16).map(i128::from),
    }
}

/// Reads what stands around the `'` of `8'hff`. A number that its size has no room for is none.
fn based(size: &str, rest: &str) -> Option<i128> {
    let unsigned = rest.trim_start_matches(['s', 'S']);
    let radix = match unsigned.chars().next()?.to_ascii_lowercase() {
        'h' => 16,
        'd' => 10,
        'o' => 8,
        'b' => 2,
        _ => return None,
    };
    let value = i128::from(digits(&unsigned[1..], radix)?);
    if size.is_empty() {
        return Some(value);
    }
    let bits = digits(size, 10).filter(|bits| (1..=64).contains(bits))?;
    let end = 1_i128 << bits;
    let is_negative = unsigned != rest && value >= end / 2;
    (value < end).then_some(if is_negative { value - end } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Parameters<'static> {
        Parameters::from([
            ("WORDS", "4 * HALF"),
            ("HALF", "8'd2"),
            ("uuid:0a1b-2c", "7"),
            ("ITSELF", "ITSELF + 1"),
            ("uuid_12_ab", "3"),
        ])
    }

    #[test]
    fn numbers_are_read_as_their_format_spells_them() {
        for (text, svd, ipxact) in [
            ("16", Some(16), Some(16)),
            ("+0x1F", Some(31), Some(31)),
            ("0XaB", Some(0xab), Some(0xab)),
            ("#1010", Some(10), Some(0x1010)),
            ("#1F", None, Some(0x1f)),
            ("0b11", Some(3), Some(3)),
            ("4K", Some(4096), Some(4096)),
            ("0x1m", Some(1 << 20), Some(1 << 20)),
            ("2t", Some(2 << 40), Some(2 << 40)),
            ("17179869184G", None, None),
            ("", None, None),
            ("-1", None, None),
            ("1 2", None, None),
            ("abc", None, None),
        ] {
            assert_eq!((scaled(text, 2), scaled(text, 16)), (svd, ipxact), "{text}");
        }
    }

    #[test]
    fn expressions_are_evaluated() {
        for (text, value) in [
            ("'h10", 16),
            ("16'hFF", 255),
            ("32'hdead_beef", 0xdead_beef),
            ("64'hffffffffffffffff", u64::MAX),
            ("8'b1010", 10),
            ("6'o17", 15),
            ("4*8", 32),
            ("2 + 3 * 4", 14),
            ("(2 + 3) * 4", 20),
            ("10 - 3 - 2", 5),
            ("2 ** 3 ** 2", 64), // to the left, as all its operators but ?:
            ("1 << 4 | 'h3", 19),
            ("~0 & 'hff", 255),
            ("-4'sd1 + 2", 1),
            ("4'shF + 2", 1),
            ("7 / 2 + 7 % 2", 4),
            ("3 > 2 && 1 != 0 ? 'h20 : 'h40", 32),
            ("0 ? 1 : 0 ? 2 : 3", 3),
            ("!5 == 0", 1),
            ("$clog2(512) + $clog2(513) + $clog2(1)", 19),
            ("$pow(2, 10)", 1024),
            ("WORDS + 1", 9),
            ("uuid:0a1b-2c - 1", 6),
            ("uuid_12_ab-1", 2),
            ("true + false", 1),
            ("0x10", 16),
            ("4K", 4096),
        ] {
            assert_eq!(evaluate(text, &parameters()), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_has_no_value_says_why() {
        for (text, why) in [
            ("", "a number is missing"),
            ("4 *", "a number is missing"),
            ("4 5", "`5` is left over"),
            ("(4", "`)` is missing"),
            ("2 - 3", "it is -1"),
            ("4'hFF", "`4'hFF` is no whole number"),
            ("'hx", "`'hx` is no whole number"),
            ("'1", "`'1` is no whole number"),
            ("1.5", "`.5` is left over"),
            ("1 / 0", "1 / 0 has no value here"),
            ("1 << 64", "1 << 64 has no value here"),
            ("2 ** 127", "2 ** 127 has no value here"),
            ("NONE + 1", "there is no parameter `NONE`"),
            ("ITSELF", "it is too deep, or names itself"),
            ("$bits(3)", "`$` begins no number"),
            ("\"text\"", "`\"` begins no number"),
        ] {
            assert_eq!(evaluate(text, &parameters()), Err(why.into()), "{text}");
        }
        let deep = "(".repeat(100_000);
        assert!(evaluate(&deep, &parameters()).is_err());
        let wide = "1+".repeat(100_000);
        assert!(evaluate(&wide, &parameters()).is_err());
        // Each names the one before twice: without a limit, as many operands as 2 to the 60.
        let doubled: Vec<(String, String)> = (0..60)
            .map(|number| (format!("P{}", number + 1), format!("P{number} + P{number}")))
            .collect();
        let mut parameters = Parameters::from([("P0", "1")]);
        parameters.extend(doubled.iter().map(|(id, text)| (&**id, &**text)));
        assert_eq!(evaluate("P8", &parameters), Ok(256));
        assert!(evaluate("P60", &parameters).is_err());
    }
}
