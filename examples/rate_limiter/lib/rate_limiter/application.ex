defmodule RateLimiter.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _args),
    do: Supervisor.start_link([RateLimiter], strategy: :one_for_one, name: RateLimiter.Supervisor)
end
