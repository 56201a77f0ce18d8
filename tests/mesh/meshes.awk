# Every mesh of at most 8 ranks, as flags: tp, cp, dp powers of two, pp any, zero where dp > 1, sp where tp > 1, vp where pp > 1,
# and where cp > 1 and sp is not off, keys and values gathered or going round.
function emit(tp, cp, dp, pp, vp, zero, sp) {
    line = sprintf("--tp %d --cp %d --dp %d --pp %d", tp, cp, dp, pp)
    if (vp > 1) line = line sprintf(" --vp %d", vp)
    if (dp > 1 || cp > 1) line = line sprintf(" --zero %d", zero)
    if (tp > 1) line = line sprintf(" --sp %d", sp)
    print line
    if (cp > 1 && (sp || tp == 1)) print line " --cp-comm ring"
}
BEGIN {
    for (tp = 1; tp <= 8; tp *= 2)
        for (cp = 1; tp * cp <= 8; cp *= 2)
            for (dp = 1; tp * cp * dp <= 8; dp *= 2)
                for (pp = 1; tp * cp * dp * pp <= 8 && pp <= 4; pp++)
                    for (vp = 1; vp <= (pp == 2 ? 2 : 1); vp++)
                        for (zero = 0; zero <= (dp > 1 || cp > 1 ? 3 : 0); zero++)
                            for (sp = 0; sp <= (tp > 1 ? 1 : 0); sp++)
                                if (tp * cp * dp * pp > 1) emit(tp, cp, dp, pp, vp, zero, sp)
}
