defmodule Blanket.MatchProgramsTest do
  use ExUnit.Case, async: true

  import Blanket.Property

  alias Blanket.MatchPrograms

  @programs 300
  @length 40

  for type <- [:set, :ordered_set, :bag, :duplicate_bag] do
    test "match specifications do on a #{type} as on :ets" do
      program = MatchPrograms.program(unquote(type), @length)
      check(program, @programs, &MatchPrograms.run/1, &MatchPrograms.present/1)
    end
  end
end
