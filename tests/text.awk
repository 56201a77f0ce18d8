# 35 KB of words, always the same: a text to train on that no edit of ours changes.
BEGIN {
    n = split("the of and to a in that he shall unto for i his lord they be is him not with", word, " ")
    x = 7
    for (i = 0; i < 9000; i++) {
        x = (x * 75 + 74) % 65537
        printf "%s%s", word[x % n + 1], x % 11 ? " " : ".\n"
    }
}
