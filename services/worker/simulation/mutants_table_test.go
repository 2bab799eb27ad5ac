package simulation

// place is one place of the real sources, and the same with mistakes in it. Each mistake
// is asked for by name, with mutated, so that one program holds them all, and makes one at
// a time.
type place struct {
	file     string // from the module's root
	old, new string // old stands there exactly once
	mutants  []mutant
}

// mutant is a mistake in the protocol, and what goes wrong then.
type mutant struct{ name, why string }

const (
	chainGo  = "pipeline/ledger/chain.go"
	appendGo = "pipeline/ledger/append.go"
	resumeGo = "pipeline/ledger/resume.go"
	storeGo  = "pipeline/ledger/store.go"
	tailGo   = "pipeline/ledger/tail.go"
	idsGo    = "pipeline/ledger/ids_load.go"
	orphanGo = "pipeline/ledger/orphans.go"
	commitGo = "pipeline/stream/commit.go"
	packGo   = "pipeline/stream/pack.go"
	workGo   = "pipeline/stream/work.go"
	streamGo = "pipeline/stream/stream.go"
	takeGo   = "pipeline/stream/take.go"
	lineGo   = "services/worker/line.go"
	sweepGo  = "services/keeper/sweep.go"
	verifyGo = "pipeline/store/verify.go"
)

// places are in four parts: who writes, what is deleted, what is recorded, what becomes of
// messages.
func places() []place {
	all := append(owning(), deleting()...)
	return append(append(all, recording()...), packing()...)
}

func owning() []place {
	return []place{
		{chainGo, "\tfor c.epoch == 0 {\n", "\tif mutated(\"no fence\") {\n\t\tc.epoch = c.tail.Epoch\n\t}\n\tfor c.epoch == 0 {\n",
			[]mutant{{"no fence", "a stream that has an epoch is written to without a new one: two writers share it"}}},
		{chainGo, "r := c.build(Fence, c.tail.Epoch+1,", "next := c.tail.Epoch + 1\n\t\tif mutated(\"a fence of the epoch before\") {\n\t\t\tnext = max(c.tail.Epoch, 1)\n\t\t}\n\t\tif mutated(\"an epoch is left out\") {\n\t\t\tnext++\n\t\t}\n\t\tr := c.build(Fence, next,",
			[]mutant{{"a fence of the epoch before", "what the fenced writer has under way still fits the chain"}, {"an epoch is left out", "readers refuse the chain"}}},
		{resumeGo, "\tcase r.Kind == Genesis, r.Kind == Fence && theirs.Kind == Data:\n", "\tcase r.Kind == Fence && theirs.Kind == Data && mutated(\"a late record is not adopted\"):\n\t\tc.epoch = r.Epoch\n\t\treturn nil\n\tcase r.Kind == Genesis, r.Kind == Fence && theirs.Kind == Data:\n",
			[]mutant{{"a late record is not adopted", "the writer goes on at an offset that the late record accounts for"}}},
		{resumeGo, "\treturn c.fail(&FencedError{Stream: c.stream, Seq: theirs.Seq, By: theirs.Record})\n", "\tif mutated(\"commits go on after a foreign record\") {\n\t\tc.advance(theirs)\n\t\treturn nil\n\t}\n\treturn c.fail(&FencedError{Stream: c.stream, Seq: theirs.Seq, By: theirs.Record})\n",
			[]mutant{{"commits go on after a foreign record", "a batch that was not recorded counts as if it were"}}},
		{appendGo, "\t\tgot := judge(last)\n", "\t\tgot := judge(last)\n\t\tif got == exists && mutated(\"a 412 is success\") || got == unknown && mutated(\"unknown is success\") || got == conflict && mutated(\"a 409 is success\") || got == refused && mutated(\"a refusal is success\") {\n\t\t\tgot = landed\n\t\t}\n",
			[]mutant{
				{"a 412 is success", "another's record is taken for ours, without a look at its token"}, {"unknown is success", "a record that never landed counts as if it had"},
				{"a 409 is success", "nothing landed"}, {"a refusal is success", "nothing landed"},
			}},
		{tailGo, "\t\t\tlow = hint\n", "\t\t\tlow = hint\n\t\t\tif mutated(\"the hint is the truth\") {\n\t\t\t\treturn hint, nil\n\t\t\t}\n",
			[]mutant{{"the hint is the truth", "the hint may be old: the chain's end is not found"}}},
		{tailGo, "\tfor high-low > 1 {\n", "\tfor high-low > 1 && !(high-low == 2 && mutated(\"the end is found too early\")) {\n",
			[]mutant{{"the end is found too early", "the writer goes on before the chain's end"}}},
		{lineGo, "next: l.chain.Next()}\n", "next: l.chain.Next()}\n\tif mutated(\"start at the group's offset\") {\n\t\tf.next, _ = l.w.Topic.StartOffset(ctx, l.partition)\n\t}\n",
			[]mutant{{"start at the group's offset", "the group's offset is advisory: it may be anywhere"}}},
		{chainGo, "func (c *Chain) Next() int64 { return c.pos.Next }", "func (c *Chain) Next() int64 {\n\tif mutated(\"start at the last record's beginning\") && c.tail != nil {\n\t\treturn c.tail.From\n\t}\n\treturn c.pos.Next\n}",
			[]mutant{{"start at the last record's beginning", "offsets are worked on twice"}}},
	}
}

func deleting() []place {
	return []place{
		{sweepGo, "\t\tv := Open\n", "\t\tv := Open\n\t\tif mutated(\"gc of the epoch in force\") {\n\t\t\tv = Deletable\n\t\t}\n",
			[]mutant{{"gc of the epoch in force", "a shard that the next record names is deleted"}}},
		{orphanGo, "Dead: beyond}", "Dead: beyond || mutated(\"gc asks for no epoch\")}",
			[]mutant{{"gc asks for no epoch", "age alone says what is a left-over"}}},
		{orphanGo, "\t\tif r.Epoch > epoch {\n", "\t\tif r.Epoch > epoch || r.Epoch == epoch && mutated(\"gc ends an epoch too early\") {\n",
			[]mutant{{"gc ends an epoch too early", "what the epoch's own records name is deleted"}}},
		{orphanGo, "\t\tif namedIn(&w.named, key) {\n", "\t\tif namedIn(&w.named, key) && !(beyond && mutated(\"gc forgets what records name\")) {\n",
			[]mutant{{"gc forgets what records name", "named shards of dead epochs are deleted"}}},
		{commitGo, "\tif err := s.parts.Chain.Commit(ctx, e); err != nil {\n", "\tif err := s.parts.Chain.Commit(ctx, e); err != nil {\n\t\tfor i := range shards {\n\t\t\tif mutated(\"shards are deleted when a commit fails\") {\n\t\t\t\t_ = s.parts.Store.Delete(context.WithoutCancel(ctx), shards[i].Key)\n\t\t\t}\n\t\t}\n",
			[]mutant{{"shards are deleted when a commit fails", "the outcome may be unknown: the record may have landed, or may yet"}}},
	}
}

func recording() []place {
	return []place{
		{chainGo, "\treturn DataPrefix(c.stream, c.epoch) +", "\tif mutated(\"names of shards come again\") {\n\t\treturn DataPrefix(c.stream, c.epoch) + \"0.\" + ext\n\t}\n\tif mutated(\"shards of the first epoch\") {\n\t\treturn DataPrefix(c.stream, 1) + c.opts.ID() + \".\" + ext\n\t}\n\treturn DataPrefix(c.stream, c.epoch) +",
			[]mutant{{"names of shards come again", "a shard that a record names is overwritten by the next one"}, {"shards of the first epoch", "what gc takes for left-overs of a dead epoch is alive"}}},
		{verifyGo, "\treturn Verify(ctx, s, key, body)\n", "\tif mutated(\"uploads are not verified\") {\n\t\treturn nil\n\t}\n\treturn Verify(ctx, s, key, body)\n",
			[]mutant{{"uploads are not verified", "a half-stored shard is named"}}},
		{commitGo, "\t\t\tif err := s.upload(up, key, sh); err != nil {\n", "\t\t\tif err := s.upload(up, key, sh); err != nil && !mutated(\"uploads may fail\") {\n",
			[]mutant{{"uploads may fail", "a shard that is not there is named"}}},
		{commitGo, "\te := ledger.Entry{To: b.to,", "\tif mutated(\"a record covers one offset more\") {\n\t\tb.outcomes = append(b.outcomes, ledger.Outcome{Offset: b.to, Status: ledger.None})\n\t\tb.to++\n\t}\n\tif last := len(b.outcomes) - 1; last > 0 && mutated(\"a record covers one offset less\") && b.outcomes[last].Offset == b.to-1 && b.outcomes[last].Part == 0 && b.outcomes[last].Samples == 0 {\n\t\tb.outcomes = b.outcomes[:last]\n\t\tb.to--\n\t\tfor i := range shards {\n\t\t\tshards[i].To = min(shards[i].To, b.to)\n\t\t}\n\t}\n\tif len(shards) > 1 && mutated(\"only one shard is named\") {\n\t\tshards = shards[:1]\n\t}\n\te := ledger.Entry{To: b.to,",
			[]mutant{
				{"a record covers one offset more", "an offset that nobody has worked on has an outcome"}, {"a record covers one offset less", "nobody works on it again, and the next record does not fit"},
				{"only one shard is named", "shards that were uploaded are not named"},
			}},
		{packGo, "\tb.shards = append(b.shards, sealed{", "\tif mutated(\"shards are forgotten\") {\n\t\tb.shards = nil\n\t}\n\tb.shards = append(b.shards, sealed{",
			[]mutant{{"shards are forgotten", "only the last shard of a batch is named"}}},
		{packGo, "\tfor _, key := range inOrder(b.open) {\n", "\tfor i, key := range inOrder(b.open) {\n\t\tif i == 0 && mutated(\"open shards are dropped\") {\n\t\t\tdelete(b.open, key)\n\t\t\tcontinue\n\t\t}\n",
			[]mutant{{"open shards are dropped", "samples of a shard that is not full are lost"}}},
		{packGo, "\tif it.Skip != nil {\n", "\tif it.Skip != nil && !mutated(\"skipped ranges are forgotten\") {\n",
			[]mutant{{"skipped ranges are forgotten", "offsets without a message have no end, and nothing goes on"}}},
		{packGo, "\tp.next = it.End()\n", "\tif p.next = it.End(); mutated(\"skipped ranges count for one\") {\n\t\tp.next = it.Offset + 1\n\t}\n",
			[]mutant{{"skipped ranges count for one", "what follows a skipped range never fits"}}},
	}
}

func packing() []place {
	return []place{
		{packGo, "\t\t\tit, done = next, next.done\n", "\t\t\tit, done = next, next.done\n\t\t\tif len(it.parts) > 0 && it.parts[0].recipe != nil && mutated(\"jobs are packed before they are done\") {\n\t\t\t\treturn it, true, nil\n\t\t\t}\n",
			[]mutant{{"jobs are packed before they are done", "a slow job ends without its samples"}}},
		{workGo, "\t\tif err := s.workPart(ctx, p); err != nil {\n", "\t\tif err := s.workPart(ctx, p); err != nil {\n\t\t\tif mutated(\"a job's failure is no matter\") {\n\t\t\t\treturn\n\t\t\t}\n",
			[]mutant{{"a job's failure is no matter", "a job whose mill broke ends as none"}}},
		{workGo, "\tvar f *pipeline.Fault\n\tif errors.As(err, &f) {\n\t\treturn f\n\t}\n", "\tvar f *pipeline.Fault\n\tif errors.As(err, &f) {\n\t\treturn f\n\t}\n\tif mutated(\"an outage refuses jobs\") {\n\t\treturn &pipeline.Fault{Code: \"decode.invalid\", Stage: \"decode\", Detail: err.Error()}\n\t}\n",
			[]mutant{{"an outage refuses jobs", "what is not the medium's fault quarantines it"}}},
		{packGo, "\tif of, yes := p.s.repeats(part.job); yes {\n", "\tif of, yes := p.s.repeats(part.job); yes && !(part.recipe != nil && mutated(\"repeats are told at arrival\")) {\n",
			[]mutant{{"repeats are told at arrival", "of two that are under way at once, both become samples"}}},
		{takeGo, "\treturn &Known{ids: ids}, nil\n", "\tif mutated(\"repeats are forgotten by the next writer\") {\n\t\tids = ledger.NewIDs(o.Remember)\n\t}\n\treturn &Known{ids: ids}, nil\n",
			[]mutant{{"repeats are forgotten by the next writer", "an id that is committed becomes samples again"}}},
		{idsGo, "limit > 0 && ids.Len() >= limit {\n", "limit > 0 && ids.Len() >= limit || ids.Len() > 0 && mutated(\"the index of ids ends too early\") {\n",
			[]mutant{{"the index of ids ends too early", "only the ids of the last record are known"}}},
		{streamGo, "return offset, found && status == ledger.OK", "return offset, found && (status == ledger.OK || mutated(\"refused ids count as ended\"))",
			[]mutant{{"refused ids count as ended", "a refused id may be sent again"}}},
		{packGo, "\t\tp.s.parts.Known.add(part.job, it.Offset, status)\n", "\t\tat := it.Offset\n\t\tif mutated(\"repeats of the wrong offset\") {\n\t\t\tat++\n\t\t}\n\t\tp.s.parts.Known.add(part.job, at, status)\n",
			[]mutant{{"repeats of the wrong offset", "dup-of names an offset that is not the first"}}},
	}
}
