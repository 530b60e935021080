defmodule Blanket.KeyRangesTest do
  use ExUnit.Case, async: true

  import Blanket.Property

  alias Blanket.KeyRanges

  test "ranges of keys hold all that a search of everything finds" do
    check(KeyRanges.program(30), 3000, &KeyRanges.run/1)
  end

  test "ranges of keys hold all that a search of everything finds, in leaves of many keys" do
    check(KeyRanges.program(2000), 60, &KeyRanges.run/1)
  end
end
