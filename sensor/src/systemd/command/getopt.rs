//! Options as glibc's `getopt_long` reads them.

/// Whether an option has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    /// The next argument, if it is not in this one.
    Value,
}

/// An option.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opt {
    long: &'static str,
    short: Option<char>,
    takes: Takes,
}

/// `--long` and perhaps `-s`, without a value.
pub(super) const fn flag(long: &'static str, short: Option<char>) -> Opt {
    Opt {
        long,
        short,
        takes: Takes::Nothing,
    }
}

/// The same with a value.
pub(super) const fn value(long: &'static str, short: Option<char>) -> Opt {
    Opt {
        long,
        short,
        takes: Takes::Value,
    }
}

/// Where options end, apart from `--`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Nowhere.
    Anywhere,
    /// At the first argument.
    First,
    /// At the third argument, if the first is this verb.
    AfterTwo(&'static str),
}

/// A command line, taken apart.
#[derive(Debug, Default)]
pub(super) struct Parsed<'a> {
    /// Options by their long names, in their order.
    pub(super) options: Vec<(&'static str, Option<&'a str>)>,
    /// The other arguments.
    pub(super) rest: Vec<&'a str>,
    /// The first option that is not known, is ambiguous or lacks its value.
    pub(super) fault: Option<String>,
}

impl<'a> Parsed<'a> {
    /// Whether an option is there.
    pub(super) fn has(&self, long: &str) -> bool {
        self.options.iter().any(|(name, _)| *name == long)
    }

    /// The value of the last option of this name.
    pub(super) fn last(&self, long: &str) -> Option<&'a str> {
        let mut all = self.options.iter().rev();
        all.find(|(name, _)| *name == long)?.1
    }

    /// The values of all options of this name.
    pub(super) fn all(&self, long: &str) -> impl Iterator<Item = &'a str> {
        let mine = self.options.iter().filter(move |(name, _)| *name == long);
        mine.filter_map(|(_, value)| *value)
    }
}

/// Takes the arguments after the first apart.
pub(super) fn parse<'a>(argv: &'a [String], known: &[Opt], order: Order) -> Parsed<'a> {
    let mut parsed = Parsed::default();
    let mut words = argv.iter().skip(1).map(String::as_str);
    while let Some(word) = words.next() {
        if word == "--" {
            parsed.rest.extend(words);
            break;
        }
        if let Some(long) = word.strip_prefix("--") {
            parsed.long(long, known, &mut words);
        } else if let Some(short) = word.strip_prefix('-').filter(|short| !short.is_empty()) {
            parsed.short(short, known, &mut words);
        } else {
            parsed.rest.push(word);
            let ends = match order {
                Order::Anywhere => false,
                Order::First => true,
                Order::AfterTwo(verb) => {
                    parsed.rest.len() == 3 && parsed.rest.first() == Some(&verb)
                }
            };
            if ends {
                parsed.rest.extend(words);
                break;
            }
        }
    }
    parsed
}

impl<'a> Parsed<'a> {
    fn long(&mut self, word: &'a str, known: &[Opt], words: &mut impl Iterator<Item = &'a str>) {
        let (name, given) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let mut begins = known.iter().filter(|option| option.long.starts_with(name));
        let exact = known.iter().find(|option| option.long == name);
        let option = match (exact, begins.next(), begins.next()) {
            (Some(exact), ..) => exact,
            (None, Some(only), None) => only,
            (None, Some(_), Some(_)) => return self.fail(format!("--{name} is ambiguous")),
            (None, None, _) => return self.fail(format!("--{name} is not known")),
        };
        match (option.takes, given) {
            (Takes::Nothing, Some(_)) => self.fail(format!("--{name} takes no value")),
            (Takes::Nothing, None) => self.options.push((option.long, None)),
            (Takes::Value, Some(value)) => self.options.push((option.long, Some(value))),
            (Takes::Value, None) => match words.next() {
                Some(value) => self.options.push((option.long, Some(value))),
                None => self.fail(format!("--{name} lacks its value")),
            },
        }
    }

    fn short(&mut self, word: &'a str, known: &[Opt], words: &mut impl Iterator<Item = &'a str>) {
        for (at, letter) in word.char_indices() {
            let mut options = known.iter();
            let Some(option) = options.find(|option| option.short == Some(letter)) else {
                self.fail(format!("-{letter} is not known"));
                continue;
            };
            let after = word.get(at + letter.len_utf8()..).unwrap_or_default();
            let inside = (!after.is_empty()).then_some(after);
            match option.takes {
                Takes::Nothing => {
                    self.options.push((option.long, None));
                    continue;
                }
                Takes::Value => match inside.or_else(|| words.next()) {
                    Some(value) => self.options.push((option.long, Some(value))),
                    None => self.fail(format!("-{letter} lacks its value")),
                },
            }
            return;
        }
    }

    fn fail(&mut self, why: String) {
        self.fault.get_or_insert(why);
    }
}
