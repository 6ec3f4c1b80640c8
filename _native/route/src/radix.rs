//! A compact, immutable radix tree over bytes; each node carries sorted lists of ranks.
//!
//! Nodes lie in breadth-first order, so the children of a node are neighbours: edge `e` leads to node `e + 1`, and the
//! first bytes of all children of a node are one slice that `memchr` searches.

use std::collections::VecDeque;

/// What to file under a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) key: Vec<u8>,
    /// The entry holds only where the key ends at a `/` or at the end of the text.
    pub(crate) segment: bool,
    pub(crate) rank: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    len: u32,
}

impl Span {
    fn of<T>(self, all: &[T]) -> &[T] {
        let start = self.start as usize;
        all.get(start..start + self.len as usize).unwrap_or_default()
    }
}

#[derive(Clone, Debug, Default)]
struct Node {
    label: Span,
    edges: Span,
    plain: Span,
    segment: Span,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Radix {
    nodes: Vec<Node>,
    edges: Vec<u8>,
    labels: Vec<u8>,
    ranks: Vec<u32>,
}

impl Radix {
    /// Builds the tree; keys may repeat, ranks must be unique.
    pub(crate) fn build(mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable();
        let mut tree = Self::default();
        if entries.is_empty() {
            return tree;
        }
        let mut queue = VecDeque::from([(entries.as_slice(), 0)]);
        while let Some((group, depth)) = queue.pop_front() {
            tree.push_node(group, depth, &mut queue);
        }
        tree
    }

    fn push_node<'e>(&mut self, group: &'e [Entry], depth: usize, queue: &mut VecDeque<(&'e [Entry], usize)>) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return };
        // Sorted, so what first and last share is shared by all.
        let shared = first.key[depth..].iter().zip(&last.key[depth..]).take_while(|(a, b)| a == b).count();
        let end = depth + shared;
        let own = group.partition_point(|entry| entry.key.len() == end);
        let (here, mut below) = group.split_at(own);
        let (plain, segment) = here.split_at(here.partition_point(|entry| !entry.segment));
        let label = Span { start: self.labels.len() as u32, len: shared as u32 };
        self.labels.extend_from_slice(&first.key[depth..end]);
        let mut edges = Span { start: self.edges.len() as u32, len: 0 };
        while let Some(entry) = below.first() {
            let byte = entry.key[end];
            let (same, rest) = below.split_at(below.partition_point(|other| other.key[end] == byte));
            self.edges.push(byte);
            edges.len += 1;
            queue.push_back((same, end));
            below = rest;
        }
        let plain = self.push_ranks(plain);
        let segment = self.push_ranks(segment);
        self.nodes.push(Node { label, edges, plain, segment });
    }

    fn push_ranks(&mut self, entries: &[Entry]) -> Span {
        let start = self.ranks.len() as u32;
        self.ranks.extend(entries.iter().map(|entry| entry.rank));
        Span { start, len: entries.len() as u32 }
    }

    /// True when nothing is filed.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Calls `found` with each list of ranks (ascending) whose key `text` starts with, shortest key first.
    #[inline]
    pub(crate) fn walk<'t>(&'t self, text: &[u8], mut found: impl FnMut(&'t [u32], usize)) {
        let mut at = 0;
        let mut next = self.nodes.first();
        while let Some(node) = next {
            let label = node.label.of(&self.labels);
            if !text[at..].starts_with(label) {
                return;
            }
            at += label.len();
            if node.plain.len > 0 {
                found(node.plain.of(&self.ranks), at);
            }
            let byte = text.get(at);
            if node.segment.len > 0 && byte.is_none_or(|&byte| byte == b'/') {
                found(node.segment.of(&self.ranks), at);
            }
            next = byte
                .and_then(|&byte| memchr::memchr(byte, node.edges.of(&self.edges)))
                .and_then(|edge| self.nodes.get(node.edges.start as usize + edge + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Radix};

    fn walk(tree: &Radix, text: &str) -> Vec<(Vec<u32>, usize)> {
        let mut out = Vec::new();
        tree.walk(text.as_bytes(), |ranks, depth| out.push((ranks.to_vec(), depth)));
        out
    }

    #[test]
    fn lists_along_the_way() {
        let entry = |key: &str, segment, rank| Entry { key: key.into(), segment, rank };
        let tree = Radix::build(vec![
            entry("/api", false, 3),
            entry("/", false, 9),
            entry("/apple", false, 1),
            entry("/api", true, 2),
            entry("/api", false, 0),
        ]);
        assert_eq!(walk(&tree, "/api/x"), [(vec![9], 1), (vec![0, 3], 4), (vec![2], 4)]);
        assert_eq!(walk(&tree, "/api"), [(vec![9], 1), (vec![0, 3], 4), (vec![2], 4)]);
        assert_eq!(walk(&tree, "/apis"), [(vec![9], 1), (vec![0, 3], 4)]);
        assert_eq!(walk(&tree, "/apple/pie"), [(vec![9], 1), (vec![1], 6)]);
        assert_eq!(walk(&tree, "/ap"), [(vec![9], 1)]);
        assert_eq!(walk(&tree, ""), []);
        assert_eq!(walk(&Radix::build(Vec::new()), "/"), []);
    }
}
