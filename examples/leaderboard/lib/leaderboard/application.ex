defmodule Leaderboard.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _args),
    do: Supervisor.start_link([Leaderboard], strategy: :one_for_one, name: Leaderboard.Supervisor)
end
