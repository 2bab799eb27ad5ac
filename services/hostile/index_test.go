package hostile

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// rows say which tests hold each kind of bad input to what is to become of it, as
// "PACKAGE TEST" or "PACKAGE TEST/CASE", with "." for this package. What is tried
// elsewhere is not tried here again.
var rows = []struct {
	row   string
	tests []string
}{
	{"empty value", []string{". TestBadMessages/empty value"}},
	{"tombstone", []string{". TestBadMessages/tombstone"}},
	{"not JSON", []string{". TestBadMessages/not JSON"}},
	{"unknown version", []string{". TestBadMessages/unknown version"}},
	{"10 MB JSON, 10 MB caption", []string{". TestBadMessages/10 MB of JSON", ". TestBadMessages/caption over 64 KiB"}},
	{"depth bomb", []string{". TestBadMessages/depth bomb"}},
	{"duplicate keys", []string{". TestBadMessages/duplicate keys"}},
	{"bad UTF-8", []string{". TestBadMessages/bad UTF-8"}},
	{"transactional, aborted and control records", []string{"pipeline/queue TestReadTransactions/[3, 4) control", "pipeline/queue TestReadTransactions/[4, 6) aborted", "pipeline/queue TestOpenTransactionHoldsBack"}},
	{"compressed batch that expands 1000 times", []string{"pipeline/queue TestSkipBatchesOverTheLimit/[1, 2) batch-limit"}},

	{"missing source", []string{"pipeline/source TestHTTPStatus/404", "pipeline/source TestS3/s3://media/nothing", "pipeline/source TestFile"}},
	{"zero-byte source", []string{"pipeline/source TestHTTPBadServers/empty", "pipeline/source TestS3/s3://media/empty"}},
	{"truncated source", []string{". TestBadMedia/a cut video", "pipeline/source TestHTTPBadServers/length too long"}},
	{"mutated source", []string{"pipeline/source TestS3Refusals/412/PreconditionFailed", "pipeline/source TestS3Versions", "pipeline/source TestRangesAnswers/another version"}},
	{"declared type is not the magic", []string{". TestOddJobs/a picture that is declared as a film", ". TestOddJobs/a picture that is declared as a playlist"}},
	{"polyglots", []string{". TestBadMedia/GIF with a script behind", ". TestBadMedia/MP4 with a ZIP behind", ". TestBadMedia/PDF and JPEG in one", "codecs/still TestPolyglots"}},
	{"m3u8, mpd, concat, SDP, ASX, XSPF", []string{". TestBadMedia/m3u8", ". TestBadMedia/mpd", ". TestBadMedia/concat", ". TestBadMedia/SDP", ". TestBadMedia/ASX", ". TestBadMedia/XSPF", "codecs/video TestSniff/HLS made to look like a box"}},
	{"AVI", []string{". TestBadMedia/AVI, off by default", "codecs/video TestRefusals/container that is off"}},

	{"MOV with an external data reference", []string{". TestBadMedia/MOV with media in another file", ". TestBadMedia/MOV with media at another URL"}},
	{"edit-list bomb", []string{". TestBombs/mp4 with 200,000 edits", ". TestBombs/mp4 with elst of 1e9 entries"}},
	{"tables of 1e9 entries", []string{". TestBombs/mp4 with elst of 1e9 entries", ". TestBombs/m4a with stts of 1e9 entries", "codecs/internal/ffmpeg TestCheckTables/stsz of 1e9 sizes"}},
	{"moov at the end over HTTP without ranges", []string{". TestFilmsOverHTTP/moov at the end, without ranges", ". TestFilmsOverHTTP/moov at the end, behind what may be read", "pipeline/source TestRangesAnswers/the whole"}},
	{"moov missing", []string{". TestBadMedia/MP4 cut before its moov", ". TestBadMedia/MP4 without moov, though its boxes go on"}},
	{"sizes of 2^63", []string{". TestBombs/mp4 with a box of 2^63 bytes", ". TestBombs/mp4 with a box of 2^64-1 bytes", ". TestBombs/avif whose box has 2^63 bytes"}},
	{"box loop", []string{". TestBombs/mp4 with a box that goes back", ". TestBombs/mp4 with a box of no bytes in a box"}},
	{"10,000 tracks", []string{". TestBombs/mp4 of thousands of tracks", ". TestBombs/matroska of 10,000 tracks"}},
	{"fragments without a duration", []string{"codecs/video TestOddFilms/fragments without a duration"}},
	{"times that go back, or are negative", []string{"codecs/video TestOddFilms/times that go back all the way", "codecs/video TestOddFilms/negative times"}},
	{"a time base of nothing", []string{"codecs/video TestOddFilms/a time base of nothing", ". TestBombs/mp4 of a time base of nothing"}},
	{"1e6 frames a second", []string{"codecs/video TestOddFilms/a million frames a second", ". TestBombs/mp4 of a million frames a second"}},
	{"size, pixel format or codec change with each frame", []string{"codecs/video TestOddFilms/size and pixel format change with each frame", "codecs/video TestOddFilms/size changes with each frame, for ever", "codecs/video TestOddFilms/codec changes with a frame", ". TestBombs/matroska whose size changes with each frame"}},
	{"1x1, 65535x1, odd sizes", []string{"codecs/video TestOddFilms/1x1", "codecs/video TestOddFilms/65535x1", "codecs/video TestOddFilms/1x65535", "codecs/video TestOddFilms/odd sizes", "codecs/video TestOddSides"}},
	{"sample aspect of 1e6", []string{"codecs/video TestOddFilms/pixels of 1,000,000 to 1", ". TestBombs/mp4 whose aspect is 2^32-1 to 1"}},
	{"rotation by 37 degrees", []string{"codecs/video TestOddFilms/turned by 37 degrees", "codecs/video TestParseMatrix/37 degrees", ". TestBadMedia/rotation by 45 degrees"}},
	{"a video of sound alone", []string{". TestBadMedia/a video of sound alone"}},
	{"a video of cover art alone", []string{". TestBadMedia/a video of cover art alone"}},
	{"a video of no frames", []string{"codecs/video TestOddFilms/no frames"}},
	{"an encrypted video", []string{". TestBadMedia/encrypted MP4", "codecs/video TestRefusals/common encryption"}},
	{"only B-frames", []string{"codecs/video TestOddFilms/not one keyframe"}},
	{"10 hours of black", []string{". TestBadMedia/10 hours of black"}},
	{"one frame, then nothing", []string{"codecs/video TestOddFilms/a whole film, then a stretch of nothing", "pipeline/mill TestDeaths/frame hang"}},

	{"PNG of 65535 squared", []string{". TestBombs/png of 65535 squared, of zeros"}},
	{"zTXt and iCCP of 1 GiB", []string{". TestBombs/png with 1 GiB of text claimed", ". TestBombs/png with a profile of 1 GiB claimed", ". TestBombs/png with 1 GiB of text in 1 MiB", ". TestBombs/png with a profile of 1 GiB in 1 MiB"}},
	{"APNG of 1e5 frames", []string{". TestBombs/apng of 100,000 frames"}},
	{"GIF of 65535 squared, many frames", []string{". TestBombs/gif of 65535 squared, many times"}},
	{"GIF without delay", []string{". TestBombs/gif of 10,000 frames without delay"}},
	{"GIF of LZW garbage", []string{". TestBombs/gif of LZW garbage"}},
	{"WebP whose canvas is not its picture", []string{". TestBombs/webp whose picture is not its canvas", ". TestBombs/webp animation whose picture is not its frame"}},
	{"WebP of Huffman garbage", []string{". TestBombs/webp lossless of Huffman garbage"}},
	{"WebP animation bomb", []string{". TestBombs/webp animation of 10,000 frames", ". TestBombs/webp animation of 200 frames of 16 megapixels"}},
	{"JPEG of 65500 squared", []string{". TestBombs/jpeg of 65500 squared"}},
	{"JPEG of 1e5 scans", []string{". TestBombs/jpeg of 100,000 scans"}},
	{"JPEG with DNL, huge APPn", []string{". TestBombs/jpeg whose height comes later", ". TestBombs/jpeg of 8 MiB of application data"}},
	{"JPEG in CMYK", []string{"codecs/still TestGoldenImagesEqualPillow", "codecs/still TestOddImagesEqualPillow"}},
	{"JPEG of 12 bits", []string{"codecs/still TestHostile/jpeg of 12 bits"}},
	{"JPEG, arithmetic", []string{"codecs/still TestArithmeticJPEGDecodes"}},
	{"TIFF: palette, tile of 4 GiB, directory loop", []string{". TestBadMedia/TIFF, off by default", ". TestBombs/tiff of a palette's index out of range", ". TestBombs/tiff of tiles of 4 GiB", ". TestBombs/tiff whose directory is its own next"}},
	{"BMP of negative height", []string{". TestBadMedia/BMP, off by default", ". TestBombs/bmp of height -2^31"}},
	{"ICO", []string{". TestBadMedia/ICO"}},
	{"HEIC", []string{". TestBadMedia/HEIC"}},
	{"AVIF of a grid", []string{". TestBombs/avif of a grid"}},
	{"SVG", []string{". TestBadMedia/SVG with an external entity", ". TestBadMedia/SVG of a billion laughs", ". TestBadMedia/SVG that refers to another file"}},
	{"PDF, PostScript", []string{". TestBadMedia/PDF", ". TestBadMedia/PostScript"}},
	{"colour profile bomb", []string{". TestBombs/jpeg with a profile of 16 MiB", ". TestBombs/webp with a profile of 8 MiB"}},
	{"EXIF loop", []string{"codecs/still TestEXIFOrientation/a loop of directories"}},
	{"orientation 9", []string{". TestBadMedia/orientation 9", "codecs/still TestEXIFOrientation/orientation 9"}},

	{"addresses on the inside, in every disguise", []string{"pipeline/source TestBattery", "pipeline/source TestGuard", "pipeline/source TestPolicy/http://2130706433/", "pipeline/source TestPolicy/http://[::ffff:127.0.0.1]/", "pipeline/source TestPolicy/http://[64:ff9b::7f00:1]/"}},
	{"redirects to them, and to other schemes", []string{"pipeline/source TestHTTPRedirects/file:///etc/passwd", "pipeline/source TestHTTPRedirects/gopher://h/"}},
	{"userinfo, port 22", []string{"pipeline/source TestPolicy/http://user:pw@example.com/", "pipeline/source TestPolicy/http://example.com:22/"}},
	{"slow-loris", []string{"pipeline/source TestHTTPSlow"}},
	{"endless body", []string{"pipeline/source TestHTTPBadServers/endless"}},
	{"lying Content-Length", []string{"pipeline/source TestHTTPBadServers/length too long", "pipeline/source TestHTTPBadServers/two lengths", "pipeline/source TestRangesAnswers/a lying length"}},
	{"gzip bomb", []string{"pipeline/source TestHTTPBadServers/gzip", "pipeline/source TestRangesAnswers/an encoding"}},
	{"206 of another range", []string{"pipeline/source TestHTTPStatus/206", "pipeline/source TestRangesAnswers/another range"}},
	{"1e6 headers", []string{"pipeline/source TestHTTPBadServers/a million headers"}},
	{"HTML with status 200", []string{". TestFilmsOverHTTP/HTML as a film, with status 200", ". TestBadMedia/HTML in the place of a picture"}},
	{"404, 410", []string{"pipeline/source TestHTTPStatus/404", "pipeline/source TestHTTPStatus/410"}},
	{"401, 403", []string{"pipeline/source TestHTTPStatus/401", "pipeline/source TestHTTPStatus/403"}},
	{"429, 5xx", []string{"pipeline/source TestHTTPStatus/429", "pipeline/source TestHTTPStatus/503", "pipeline/source TestHTTPRetry", "pipeline/source TestRetryAfter"}},
	{"TLS error", []string{"pipeline/source TestHTTPTLS"}},

	{"another tenant's bucket", []string{". TestObjects/another tenant's bucket", "pipeline/source TestS3", "pipeline/source TestAllow"}},
	{"keys with .. and %2e", []string{". TestObjects/a key with .. in it", ". TestObjects/a key with %2e%2e in it"}},
	{"keys of 1024 bytes, and with new lines", []string{". TestObjects/a key of 1024 bytes", ". TestObjects/a key of 1025 bytes", ". TestObjects/a key with a new line"}},
	{"KMS denied", []string{". TestObjects/the key that it is encrypted with is denied"}},
	{"archived class", []string{". TestObjects/an archived class", "pipeline/source TestS3Refusals/403/InvalidObjectState"}},
	{"delete marker", []string{". TestObjects/a delete marker", "pipeline/source TestS3Refusals/405/MethodNotAllowed"}},
	{"link out of the root", []string{"pipeline/source TestRoot/sub/leak", "pipeline/source TestRoot/sub/up"}},
	{"/dev/zero, FIFO, directory", []string{"pipeline/source TestFile//dev/zero", "pipeline/source TestFile/pipe"}},
	{"growing file", []string{". TestGrowingFile"}},
	{"bucket event: duplicate", []string{". TestBucketEvents/duplicate", ". TestBucketEvents/duplicate with a later sequencer"}},
	{"bucket event: reordered", []string{". TestBucketEvents/reordered"}},
	{"bucket event: delete", []string{". TestBucketEvents/delete event"}},
	{"bucket event: test", []string{". TestBucketEvents/test event"}},
	{"bucket event: wrong region", []string{". TestBucketEvents/another region"}},
	{"bucket event: key that is encoded twice", []string{". TestBucketEvents/key that is encoded twice"}},

	{"identical keys or captions", []string{". TestOddJobs/a caption of an equal job", ". TestOddJobs/an equal caption"}},
	{"NUL bytes", []string{". TestOddJobs/NUL bytes"}},
	{"path characters in keys", []string{". TestOddJobs/path characters", ". TestOddJobs/an id of dots and stars"}},
	{"a record that crashes its mill each time", []string{"pipeline/mill TestDeaths/frame crash"}},
	{"a record that takes its mill's memory each time", []string{"pipeline/mill TestDeaths/frame killed", "pipeline/mill TestGreed/eat"}},
	{"a record that hangs its mill each time", []string{"pipeline/mill TestDeaths/frame slow"}},
	{"a record that kills its worker each time", []string{"services/worker TestCrashLoop"}},
	{"prompts and scripts in texts", []string{". TestOddJobs/a prompt", ". TestOddJobs/a script", ". TestOddJobs/control sequences", "services/inspect TestProblemsAreShown/many\x1b[2J.tar"}},
}

// Each kind of bad input is held by tests that are there.
func TestRows(t *testing.T) {
	packages, tests := map[string]map[string]map[string]bool{}, 0
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r.row] || len(r.tests) == 0 {
			t.Errorf("the row %q is there twice, or has no test", r.row)
		}
		seen[r.row] = true
		for _, name := range r.tests {
			folder, rest, _ := strings.Cut(name, " ")
			test, c, hasCase := strings.Cut(rest, "/")
			if packages[folder] == nil {
				packages[folder] = testsIn(t, folder)
			}
			cases, found := packages[folder][test]
			if !found || hasCase && !cases[c] {
				t.Errorf("%s: there is no %s", r.row, name)
			}
			tests++
		}
	}
	t.Logf("%d rows, held by %d tests or cases", len(rows), tests)
}

// testsIn gives the tests of a package, each with the strings and numbers in it. Those of
// TestBombs stand in files of their own.
func testsIn(t *testing.T, folder string) map[string]map[string]bool {
	t.Helper()
	if folder != "." {
		folder = "../../" + folder
	}
	all := map[string]map[string]bool{}
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		bombs := strings.HasPrefix(filepath.Base(name), "bombs_")
		if !bombs && !strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			switch {
			case !ok || fn.Recv != nil:
			case bombs:
				words(fn, all, "TestBombs")
			case strings.HasPrefix(fn.Name.Name, "Test"):
				words(fn, all, fn.Name.Name)
			}
		}
	}
	return all
}

// words notes the strings and numbers of a function for a test.
func words(fn *ast.FuncDecl, all map[string]map[string]bool, test string) {
	if all[test] == nil {
		all[test] = map[string]bool{}
	}
	ast.Inspect(fn, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok {
			all[test][l.Value] = true
			if text, err := strconv.Unquote(l.Value); err == nil {
				all[test][text] = true
			}
		}
		return true
	})
}
