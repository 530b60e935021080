defmodule Blanket.FuzzTest do
  # A little of what bin/fuzz does for as long as one likes. Not async: tables that a file leaves behind are
  # looked for among all.
  use ExUnit.Case, async: false

  alias Blanket.{Fuzz, TamperedFiles}

  test "mutated match specifications do as on :ets" do
    assert rounds(30, &Fuzz.match_specs/1) > 3_000
  end

  test "millions of pairs of keys stand in the order of terms" do
    assert rounds(60, &Fuzz.key_order/1) > 2_000_000
  end

  @tag :tmp_dir
  test "of files that were tampered with some are read and some refused", %{tmp_dir: dir} do
    assert TamperedFiles.check(300, ExUnit.configuration()[:seed], dir) in 1..299
  end

  defp rounds(count, round) do
    seed = ExUnit.configuration()[:seed] * 1_000
    Enum.sum(for number <- 1..count, do: round.(seed + number))
  end
end
