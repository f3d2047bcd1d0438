//! Wrong texts, made of the table of keys: each key in each way in which it can be wrong by itself.

use hwpool_describe::{Absent, Key, Kind, REGISTER, TABLES, Table};

/// A text with every table in it, a key a line.
const BASE: &str = include_str!("../everything.toml");

/// A text with one mistake.
pub(crate) struct Case {
    /// What is wrong.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
    /// The key with its tables.
    pub(crate) key: String,
    /// What the message has to have.
    pub(crate) says: Vec<String>,
    /// A schema can tell.
    pub(crate) is_told_by_schema: bool,
}

/// Makes every case.
pub(crate) fn cases() -> Vec<Case> {
    places().iter().flat_map(Place::cases).collect()
}

/// Where a key may stand: in a table, or in one in braces behind a key of it, or behind a register's name.
struct Place {
    table: &'static Table,
    within: Within,
    key: &'static Key,
}

#[derive(Copy, Clone)]
enum Within {
    Table,
    /// A table in braces: the key before it, all that it may hold, and whether it is one of a list.
    Part(&'static Key, &'static [Key], bool),
    Register,
}

fn places() -> Vec<Place> {
    let mut places = Vec::new();
    for table in TABLES {
        for key in table.keys {
            let mut add = |within, key| places.push(Place { table, within, key });
            add(Within::Table, key);
            match key.kind {
                Kind::Part(keys) => keys
                    .iter()
                    .for_each(|inner| add(Within::Part(key, keys, false), inner)),
                Kind::Parts(keys) => keys
                    .iter()
                    .for_each(|inner| add(Within::Part(key, keys, true), inner)),
                _ => {}
            }
        }
        if table.name == "registers" {
            let keys = REGISTER.iter();
            places.extend(keys.map(|key| Place {
                table,
                within: Within::Register,
                key,
            }));
        }
    }
    places
}

/// A line with the key, and where in it what stands.
struct Line {
    text: String,
    key: usize,
    value: usize,
    /// The table in braces.
    part: usize,
}

impl Place {
    fn cases(&self) -> Vec<Case> {
        let mut cases = self.of_another_kind();
        cases.extend(self.out_of_range());
        cases.extend(self.no_such_word());
        cases.extend(self.no_such_register());
        cases.extend(self.misspelt());
        cases.extend(self.twice());
        cases.extend(self.missing());
        cases
    }

    /// Its key with those above.
    fn path(&self) -> String {
        let name = self.key.name;
        let inner = match self.within {
            Within::Table => name.to_string(),
            Within::Part(outer, ..) => format!("{}.{name}", outer.name),
            Within::Register => format!("EXTRA.{name}"),
        };
        match self.table.name {
            "" => inner,
            table => format!("{table}.{inner}"),
        }
    }

    /// The key that stands in the table itself.
    fn top(&self) -> &'static str {
        match self.within {
            Within::Table => self.key.name,
            Within::Part(outer, ..) => outer.name,
            Within::Register => "EXTRA",
        }
    }

    /// Writes the line of the key as `entry`, such as `is = 1`; nothing stands there where it is empty.
    fn line(&self, entry: &str) -> Line {
        let value_in = |entry: &str| entry.find(" = ").map_or(0, |at| at + 3);
        let (before, inner, after) = match self.within {
            Within::Table => (String::new(), entry.to_string(), ""),
            Within::Part(outer, keys, false) => (
                format!("{} = {{ ", outer.name),
                others(keys, self.key) + entry,
                " }",
            ),
            Within::Part(outer, keys, true) => (
                format!("{} = [{{ ", outer.name),
                others(keys, self.key) + entry,
                " }]",
            ),
            Within::Register => ("EXTRA = { ".into(), entry.to_string(), " }"),
        };
        let inner = match entry.is_empty() {
            true => inner.trim_end_matches(", "),
            false => &inner,
        };
        let key = before.len() + inner.len() - entry.len();
        Line {
            text: format!("{before}{inner}{after}"),
            key: key + 1,
            value: key + value_in(entry) + 1,
            part: before.find('{').map_or(0, |at| at + 1),
        }
    }

    /// Puts a line into the text, where what it excludes is left out and what it needs is there; returns the text and the
    /// line's number.
    fn text(&self, line: &str) -> (String, usize) {
        let top = self.top();
        let ways = self.table.ways.keys();
        let mut out: Vec<&str> = vec![top];
        if ways.contains(&top) {
            out.extend(ways);
        }
        for (key, other) in self.table.needs {
            if out.contains(other) && *other != top && *key != top {
                out.push(key);
            }
        }
        let header = format!("[{}]", self.table.name);
        let mut lines: Vec<String> = BASE.lines().map(str::to_owned).collect();
        let begin = match self.table.name {
            "" => 0,
            _ => {
                lines
                    .iter()
                    .position(|line| *line == header)
                    .expect("a table")
                    + 1
            }
        };
        let length = lines[begin..].iter().position(|line| line.starts_with('['));
        let end = length.map_or(lines.len(), |length| begin + length);
        let key_of = |line: &str| line.split(" = ").next().unwrap_or("").to_string();
        let mut section: Vec<String> = lines[begin..end].to_vec();
        section.retain(|line| !out.contains(&key_of(line).as_str()));
        for (key, other) in self.table.needs {
            if *key == top && section.iter().all(|line| key_of(line) != *other) {
                let mut keys = self.table.keys.iter();
                let other = keys.find(|key| key.name == *other).expect("a key");
                section.push(format!("{} = {}", other.name, other.example));
            }
        }
        section.insert(0, line.into());
        lines.splice(begin..end, section);
        let text = lines.join("\n") + "\n";
        let text = match (self.table.name, top) {
            // An address has none.
            ("value", "first") => text
                .replace("is = \"address\"", "is = \"index\"")
                .replace("shift = 6\n", ""),
            _ => text,
        };
        (text, begin + 1)
    }

    /// Makes a case of a value, which is wrong where it stands.
    fn case(&self, value: &str, says: &[&str], is_told_by_schema: bool) -> Case {
        let path = self.path();
        let line = self.line(&format!("{} = {value}", self.key.name));
        let (text, number) = self.text(&line.text);
        let says = says.iter().map(|part| part.to_string());
        Case {
            name: format!("{path} = {value}"),
            text,
            line: number,
            column: line.value,
            says: [format!("`{path}`")].into_iter().chain(says).collect(),
            key: path,
            is_told_by_schema,
        }
    }

    fn of_another_kind(&self) -> Vec<Case> {
        let values: &[(&str, &str)] = match self.key.kind {
            Kind::Number { .. } => &[
                ("\"many\"", "the text \"many\""),
                ("1.5", "1.5, which is not whole"),
                ("true", "true"),
                ("[]", "a list"),
                ("{}", "a table"),
                ("2026-01-01", "the date 2026-01-01"),
            ],
            Kind::OneOf(_) => &[("\"32\"", "the text \"32\""), ("16", "16")],
            Kind::Bool => &[("\"yes\"", "the text \"yes\""), ("1", "1")],
            Kind::Run => &[
                ("\"64\"", "the text \"64\""),
                ("\"0:7\"", "the text \"0:7\""),
                ("64", "64"),
                ("true", "true"),
            ],
            Kind::NumberOrBits { .. } => &[("true", "true"), ("1.5", "1.5, which is not whole")],
            Kind::Registers | Kind::Ids | Kind::Texts => {
                &[("\"A\"", "the text \"A\""), ("[5]", "a list")]
            }
            Kind::Parts(_) => &[("5", "5"), ("[5]", "a list"), ("{}", "a table")],
            Kind::Fields | Kind::Part(_) => &[("5", "5"), ("[]", "a list")],
            Kind::Schema
            | Kind::Text
            | Kind::Name
            | Kind::Word(_)
            | Kind::Register
            | Kind::Bits => &[("5", "5"), ("true", "true"), ("[]", "a list")],
        };
        let wanted = self.key.kind.wanted();
        let cases = values.iter().map(|(value, there)| {
            let is_told_by_schema = *value != "\"0:7\"";
            self.case(
                value,
                &[&format!("is {there}"), &format!("write {wanted}")],
                is_told_by_schema,
            )
        });
        cases.collect()
    }

    fn out_of_range(&self) -> Vec<Case> {
        let (Kind::Number { least, most } | Kind::NumberOrBits { least, most }) = self.key.kind
        else {
            return Vec::new();
        };
        let below = match least {
            0 => "-1".to_string(),
            least => (least - 1).to_string(),
        };
        // No number of JSON is beyond 64 bits.
        let above = (u128::from(most) + 1).to_string();
        let wanted = self.key.kind.wanted();
        [(below, true), (above, most < i64::MAX as u64)]
            .iter()
            .map(|(value, is_told)| {
                self.case(value, &["is ", &format!("write {wanted}")], *is_told)
            })
            .collect()
    }

    fn no_such_word(&self) -> Vec<Case> {
        let Kind::Word(words) = self.key.kind else {
            return Vec::new();
        };
        let word = words[0].name;
        let (wrong, wanted) = (doubled(word), self.key.kind.wanted());
        let says = [
            &*format!("`{wrong}` is no"),
            &format!("write {wanted}"),
            &format!("(nearest: {word})"),
        ];
        vec![self.case(&format!("\"{wrong}\""), &says, true)]
    }

    fn no_such_register(&self) -> Vec<Case> {
        let nearest = "(nearest: THRESHOLD)";
        let fields = "write LEVEL, EMPTY, FULL or READY";
        match self.key.kind {
            Kind::Register => {
                vec![self.case("\"TRESHOLD\"", &["no register `TRESHOLD`", nearest], false)]
            }
            Kind::Registers => {
                let mut case = self.case(
                    "[\"TRESHOLD\"]",
                    &["no register `TRESHOLD`", nearest],
                    false,
                );
                case.column += 1;
                vec![case]
            }
            Kind::Bits | Kind::NumberOrBits { .. } => vec![
                self.case(
                    "\"TRESHOLD.3\"",
                    &["no register `TRESHOLD`", nearest],
                    false,
                ),
                self.case(
                    "\"STATUS.LEVLE\"",
                    &["no field `LEVLE`", fields, "(nearest: LEVEL)"],
                    false,
                ),
                self.case("\"STATUS.32\"", &["bits 31:0, not 32:32"], false),
            ],
            _ => Vec::new(),
        }
    }

    fn misspelt(&self) -> Vec<Case> {
        let name = self.key.name;
        let wrong = doubled(name);
        let line = self.line(&format!("{wrong} = {}", self.key.example));
        let (text, number) = self.text(&line.text);
        let path = self.path();
        let key = format!("{}{wrong}", &path[..path.len() - name.len()]);
        // What stands in `registers` may be a register, too.
        let is_file = self.table.name == "registers" && matches!(self.within, Within::Table);
        let says = match is_file {
            true => format!("`{wrong}` is no key in `registers`, nor a register"),
            false => format!("`{wrong}` is no key "),
        };
        vec![Case {
            name: format!("{path} misspelt"),
            text,
            line: number,
            column: line.key,
            key,
            says: vec![says, format!("(nearest: {name})")],
            is_told_by_schema: true,
        }]
    }

    fn twice(&self) -> Vec<Case> {
        let entry = format!("{} = {}", self.key.name, self.key.example);
        let (line, more) = match self.within {
            Within::Table => (self.line(&entry), 1),
            Within::Part(..) | Within::Register => (self.line(&format!("{entry}, {entry}")), 0),
        };
        let text = match more {
            0 => line.text.clone(),
            _ => format!("{0}\n{0}", line.text),
        };
        let (text, number) = self.text(&text);
        let column = match more {
            0 => line.key + entry.len() + 2,
            _ => line.key,
        };
        vec![Case {
            name: format!("{} twice", self.path()),
            text,
            line: number + more,
            column,
            key: String::new(),
            says: vec!["duplicate key".into()],
            is_told_by_schema: false,
        }]
    }

    fn missing(&self) -> Vec<Case> {
        if !matches!(self.key.absent, Absent::Refused) {
            return Vec::new();
        }
        let line = self.line("");
        let (text, number) = self.text(&line.text);
        let path = self.path();
        let (line, column) = match (self.within, self.table.name) {
            (Within::Table, "") => (1, 1),
            // The name in the brackets of the table.
            (Within::Table, _) => (number - 1, 2),
            (Within::Part(..) | Within::Register, _) => (number, line.part),
        };
        vec![Case {
            name: format!("{path} missing"),
            text,
            line,
            column,
            says: vec![
                format!("`{path}` is missing: {}", self.key.doc),
                format!("Example: {} = {}", self.key.name, self.key.example),
            ],
            key: path,
            is_told_by_schema: true,
        }]
    }
}

/// Writes what else a table in braces needs, before the key.
fn others(keys: &[Key], but: &Key) -> String {
    let needed = keys.iter().filter(|key| key.name != but.name);
    let needed = needed.filter(|key| matches!(key.absent, Absent::Refused));
    needed
        .map(|key| format!("{} = {}, ", key.name, key.example))
        .collect()
}

/// Misspells a word by one letter.
fn doubled(word: &str) -> String {
    let last = word.chars().next_back().unwrap_or('x');
    format!("{word}{last}")
}
