use super::super::Condition;
use super::super::tests::{FILTERS, conditions, is_wanted, lines, texts};
use super::*;

/// Drives a search over `text` in chunks of `chunk_bytes`, which are all had, or forwards only one
/// byte of each.
fn search(
    text: &[u8],
    lines: u64,
    chunk_bytes: u64,
    filter: &mut Filter,
    is_partly: bool,
) -> (u64, u64) {
    let mut read_bytes = 0;
    let mut progress = LastWanted::search(lines, text.len() as u64);
    loop {
        match progress {
            Progress::Found(offset) => return (offset, read_bytes),
            Progress::Searching(search) => {
                let chunk = search
                    .reach()
                    .next_chunk(search.end_within(u64::MAX), chunk_bytes);
                assert!(chunk.start < chunk.end, "{search:?} is at an end");
                assert!(chunk.end - chunk.start <= chunk_bytes);
                let to = match is_partly && search.reach().is_forwards() {
                    true => chunk.start + 1,
                    false => chunk.end,
                };
                read_bytes += to - chunk.start;
                progress = search.feed(&text[chunk.start as usize..to as usize], filter);
            }
        }
    }
}

/// Where the last `n` wanted whole lines begin; the first of them if there are fewer; what is
/// behind the last whole line if there are none.
fn expected(text: &[u8], n: u64, conditions: &[Condition], judged_bytes_max: usize) -> u64 {
    if n == 0 {
        return text.len() as u64;
    }
    let (mut at, mut wanted, mut whole_end) = (0, vec![], 0);
    for line in lines(text).filter(|line| line.ends_with(b"\n")) {
        if is_wanted(line, conditions, judged_bytes_max) {
            wanted.push(at);
        }
        at += line.len() as u64;
        whole_end = at;
    }
    let first = wanted.len().saturating_sub(n as usize);
    wanted.get(first).copied().unwrap_or(whole_end)
}

#[test]
fn last_lines_of_every_short_text_in_every_chunk_size() {
    for text in texts(8) {
        // The longest texts with fewer filters, for it takes its time.
        let filters = if text.len() < 7 {
            &FILTERS[..]
        } else {
            &["+ab", "-ab", "+a -bb"]
        };
        for words in filters {
            let conditions = conditions(words);
            let mut filter = Filter::new(&conditions);
            for (n, chunk_bytes) in (0..=4).flat_map(|n| (1..=9).map(move |bytes| (n, bytes))) {
                let (found, _) = search(&text, n, chunk_bytes, &mut filter, false);
                assert_eq!(
                    found,
                    expected(&text, n, &conditions, usize::MAX),
                    "-{n} {words} of {:?} by {chunk_bytes}",
                    text.escape_ascii().to_string()
                );
            }
        }
    }
}

#[test]
fn long_lines_are_judged_by_their_first_bytes() {
    for (text, judged_bytes_max) in
        texts(7).flat_map(|text| (1..=3).map(move |n| (text.clone(), n)))
    {
        for words in ["+a", "+ab", "-ab", "+a -b"] {
            let conditions = conditions(words);
            let mut filter = Filter::with_limit(&conditions, judged_bytes_max);
            for (n, chunk_bytes) in (1..=2).flat_map(|n| (1..=8).map(move |bytes| (n, bytes))) {
                let (found, _) = search(&text, n, chunk_bytes, &mut filter, true);
                assert_eq!(
                    found,
                    expected(&text, n, &conditions, judged_bytes_max),
                    "-{n} {words} ({judged_bytes_max}) of {:?} by {chunk_bytes}",
                    text.escape_ascii().to_string()
                );
            }
        }
    }
}

/// The filter is the client's: it goes on with it at the place that was found.
#[test]
fn the_filter_begins_anew() {
    let text = b"ab\nxx\nxab\nx";
    for chunk_bytes in 1..=12 {
        let mut filter = Filter::new(&conditions("+ab"));
        assert_eq!(search(text, 1, chunk_bytes, &mut filter, false).0, 6);
        assert_eq!(filter.read_from(6), 6);
        let run = filter.sift(&text[6..], false);
        assert_eq!(run, super::super::Sifted::Run { pass: 0, take: 4 });
    }
}

#[test]
fn a_line_longer_than_a_chunk_is_read_three_times_at_most() {
    let chunk_bytes = 65_536;
    let mut text = b"error one\nerror two\n".to_vec();
    text.extend(vec![b'-'; 8 << 20]);
    text.extend(b" error three, behind what is judged\nlast\n");
    let mut filter = Filter::new(&conditions("+error"));
    let (found, read_bytes) = search(&text, 1, chunk_bytes, &mut filter, false);
    assert_eq!(found, 10);
    let most = text.len() as u64 + (1 << 20) + 4 * chunk_bytes;
    assert!(read_bytes <= most, "{read_bytes}");
}

#[test]
fn huge_numbers_do_not_overflow() {
    let most = i64::MAX as u64;
    let mut filter = Filter::new(&[]);
    assert_eq!(search(b"a\nb\n", most, 2, &mut filter, false).0, 0);
    let Progress::Searching(search) = LastWanted::search(1, most) else {
        panic!("a search")
    };
    assert_eq!(search.reach().next_chunk(most, 128), most - 128..most);
    assert_eq!(search.reach().ahead(u64::MAX), 0..most);
}
